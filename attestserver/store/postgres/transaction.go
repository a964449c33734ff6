package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/approovgate/approovgate/attestserver/store/internal/tables"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// write runs do in a transaction that sees what was committed before each statement: what it must not see change it
// locks.
func (s *Store) write(ctx context.Context, do func(tables.Tx) error) error {
	return s.within(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, do)
}

// read runs do in a transaction that sees one state of the database.
func (s *Store) read(ctx context.Context, do func(tables.Tx) error) error {
	return s.within(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
}

// tries of a transaction that PostgreSQL has undone because of others. A database that hangs is asked once; one that
// answers, but has others change the account for seconds, is asked for tries times lockTime.
const tries = 8

func (s *Store) within(ctx context.Context, options pgx.TxOptions, do func(tables.Tx) error) error {
	for try := 1; ; try++ {
		err := s.attempt(ctx, options, do)
		if try == tries || !undone(err) {
			return err
		}
	}
}

// undone says whether a transaction was undone only because of what others did at once: serialization_failure,
// deadlock_detected or lock_not_available (PostgreSQL, appendix A).
func undone(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && slices.Contains([]string{"40001", "40P01", "55P03"}, failed.Code)
}

func (s *Store) attempt(ctx context.Context, options pgx.TxOptions, do func(tables.Tx) error) error {
	if s.closed.Load() {
		return closedOr(ctx)
	}
	begin, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	tx, err := s.pool.BeginTx(begin, options)
	if err != nil {
		return s.unavailable(ctx, err)
	}
	defer s.rollback(ctx, tx) // also when do panics; after Commit it does nothing
	if err := do(transaction{s, tx}); err != nil {
		return err
	}
	commit, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return s.unavailable(ctx, tx.Commit(commit))
}

// rollback frees the locks, also of a caller that has given up.
func (s *Store) rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	_ = tx.Rollback(ctx) // the connection is thrown away if it cannot be rolled back
}

// transaction is a tables.Tx. Every step of it has answerTime.
type transaction struct {
	store *Store
	tx    pgx.Tx
}

func (t transaction) Query(ctx context.Context, sql string, args ...any) (tables.Rows, error) {
	limited, cancel := context.WithTimeout(ctx, answerTime)
	found, err := t.tx.Query(limited, sql, args...)
	if err != nil {
		cancel()
		return nil, t.store.unavailable(ctx, err)
	}
	return rows{found, t.store, ctx, cancel}, nil
}

func (t transaction) Run(ctx context.Context, statements []tables.Statement) error {
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	batch := &pgx.Batch{} // all of them in one round trip
	for _, s := range statements {
		batch.Queue(s.SQL, s.Args...)
	}
	return t.store.unavailable(ctx, t.tx.SendBatch(limited, batch).Close())
}

// rows are tables.Rows.
type rows struct {
	pgx.Rows
	store  *Store
	ctx    context.Context // the caller's, to tell its end from that of our own time
	cancel context.CancelFunc
}

func (r rows) Err() error { return r.store.unavailable(r.ctx, r.Rows.Err()) }

func (r rows) Close() error {
	r.Rows.Close()
	r.cancel()
	return nil
}
