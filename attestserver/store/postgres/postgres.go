// Package postgres keeps accounts in a PostgreSQL database, for servers on several machines: see package store. It owns
// the connections, their time limits, the migrations and the notifications; which rows an account has is package
// tables' business.
//
// A database that is gone or hangs gives errors within answerTime, and the Store works again when it is back. It must
// be reached without a pooler between that hands out connections by transaction (PgBouncer's transaction mode):
// migrations lock a session, and notifications are listened for by one.
//
// Start reading at Open.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/internal/schema"
	"github.com/approovgate/approovgate/attestserver/store/internal/tables"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Limits of time. One is the server's and the others ours, for a server that cannot keep its own.
const (
	connectTime   = 2 * time.Second
	lockTime      = time.Second             // lock_timeout, of a try
	statementTime = 1500 * time.Millisecond // statement_timeout
	answerTime    = 2 * time.Second         // for one step: beginning, a statement with its rows, committing
	idleTime      = 30 * time.Second        // idle_in_transaction_session_timeout: a process that hangs frees its locks
)

const (
	nonceConnections = 2              // of their own, so that changes never take them all
	migrationLock    = 0x617070726f6f // advisory lock: "approo" in ASCII
	migrationSeconds = 60             // to wait for another process that migrates
)

//go:embed migrations
var migrations embed.FS

// Store is a store.Store in a PostgreSQL database. Close ends it.
type Store struct {
	pool     *pgxpool.Pool
	nonces   *pgxpool.Pool
	seal     store.Sealer
	batch    *store.Batcher
	listener *listener
	closed   atomic.Bool
	once     sync.Once
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Target = (*Store)(nil)
)

// Open opens the database at a URL such as postgres://user:password@host/database?sslmode=verify-full, or the words
// of a libpq connection string; PGPASSWORD, PGPASSFILE and the like count too. It makes the tables if they are not
// there. It refuses a database of a newer version of the program, and another sealing key than the one it was made
// with.
func Open(ctx context.Context, url string, seal store.Sealer) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err) // it hides the password
	}
	limit(config.ConnConfig)
	config.AfterConnect = durable
	if err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s := &Store{seal: seal}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	config = config.Copy()
	config.MaxConns, config.MinConns = nonceConnections, 0
	if s.nonces, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	err = s.write(ctx, func(tx tables.Tx) error { return tables.CheckSeal(ctx, tx, seal) })
	if err != nil {
		s.nonces.Close()
		s.pool.Close()
		return nil, err
	}
	s.batch = store.NewBatcher(s.consume)
	s.listener = listen(config.ConnConfig.Copy())
	return s, nil
}

// limit sets the limits of time that the URL does not set itself.
func limit(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectTime {
		config.ConnectTimeout = connectTime
	}
	for name, value := range map[string]string{
		"lock_timeout":                        strconv.FormatInt(lockTime.Milliseconds(), 10),
		"statement_timeout":                   strconv.FormatInt(statementTime.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": strconv.FormatInt(idleTime.Milliseconds(), 10),
		"application_name":                    "approovgate-attestserver",
	} {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
}

// durable undoes a setting of the server that would lose what a Store has said is kept.
func durable(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

// migrate brings the database to the schema that the program knows, one process at a time.
func migrate(ctx context.Context, config *pgx.ConnConfig) error {
	config = config.Copy()
	delete(config.RuntimeParams, "lock_timeout") // a migration may take its time
	delete(config.RuntimeParams, "statement_timeout")
	db := stdlib.OpenDB(*config)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, migrationSeconds))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	return schema.Up(ctx, provider)
}

// Close ends the Store, after what is being done has ended. What waits in Consume is refused.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.closed.Store(true)
		s.listener.close()
		s.batch.Close()
		s.nonces.Close()
		s.pool.Close()
	})
	return nil
}

// Changed is store.Store's: what PostgreSQL notifies of.
func (s *Store) Changed() <-chan struct{} { return s.listener.changed }

// Generation is store.Store's, in one round trip.
func (s *Store) Generation(ctx context.Context) (generation int64, err error) {
	if s.closed.Load() {
		return 0, closedOr(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err = s.pool.QueryRow(limited, tables.ReadGeneration).Scan(&generation)
	return generation, s.unavailable(ctx, err)
}

// Accounts is store.Store's.
func (s *Store) Accounts(ctx context.Context) (all []*account.Account, generation int64, err error) {
	err = s.read(ctx, func(tx tables.Tx) error {
		all, generation, err = tables.Accounts(ctx, tx, s.seal)
		return err
	})
	return all, generation, err
}

// Audit is store.Store's.
func (s *Store) Audit(ctx context.Context, name string, before int64, limit int) (entries []account.Entry, err error) {
	err = s.read(ctx, func(tx tables.Tx) error {
		entries, err = tables.Audit(ctx, tx, name, before, limit)
		return err
	})
	return entries, err
}

const (
	lockAccount  = `SELECT 1 FROM account WHERE name = $1 FOR UPDATE`
	lockAccounts = `LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE`
	notify       = `SELECT pg_notify('` + channel + `', '')`
)

// Create is store.Store's.
func (s *Store) Create(ctx context.Context, a *account.Account) error {
	return s.write(ctx, func(tx tables.Tx) error {
		if err := tables.Create(ctx, tx, s.seal, a); err != nil {
			return err
		}
		return tx.Run(ctx, []tables.Statement{{SQL: notify}})
	})
}

// Change is store.Store's.
func (s *Store) Change(ctx context.Context, name string, change func(*account.Account) error) (after *account.Account, err error) {
	err = s.write(ctx, func(tx tables.Tx) error {
		if err := tx.Run(ctx, []tables.Statement{{SQL: lockAccount, Args: []any{name}}}); err != nil {
			return err
		}
		var changed bool
		if after, changed, err = tables.Change(ctx, tx, s.seal, name, change); err != nil || !changed {
			return err
		}
		return tx.Run(ctx, []tables.Statement{{SQL: notify}})
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// Import is store.Target's.
func (s *Store) Import(ctx context.Context, fill func(context.Context, store.Writer) error) error {
	return s.write(ctx, func(tx tables.Tx) error {
		if err := tx.Run(ctx, []tables.Statement{{SQL: lockAccounts}}); err != nil {
			return err
		}
		if err := tables.Import(ctx, tx, s.seal, fill); err != nil {
			return err
		}
		return tx.Run(ctx, []tables.Statement{{SQL: notify}})
	})
}

// unavailable says of an error that is not of our own making whose it is.
func (s *Store) unavailable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case s.closed.Load():
		return store.ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("postgres: no answer within %v", answerTime)
	}
	return fmt.Errorf("postgres: %w", err)
}
