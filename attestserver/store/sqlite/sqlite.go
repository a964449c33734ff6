// Package sqlite keeps accounts in a folder on this machine's disk: see package store. It owns the files, their
// settings and migrations; which rows an account has is package tables' business.
//
// There are three database files, so that the used nonces, thousands a second, never wait for an account's change and
// its disk syncs, nor for a flood of failures: accounts.db, which is what to back up, nonces.db, which holds nothing
// older than minutes, and failures.db, which may be deleted while no process uses it. Several
// processes on the same machine may use a folder at once; SQLite's own locks keep them apart, and who finds a file
// locked waits up to busyTime. The folder must not be on a network file system: SQLite's write-ahead log needs memory
// shared between the processes.
//
// Start reading at Open.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/internal/schema"
	"github.com/approovgate/approovgate/attestserver/store/internal/tables"
	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

const (
	accountsFile = "accounts.db"
	noncesFile   = "nonces.db"
	failuresFile = "failures.db"
	readers      = 4               // connections that only read
	busyTime     = 5 * time.Second // to wait for another process that writes
)

//go:embed migrations
var migrations embed.FS

// Store is a store.Store in a folder. Close ends it.
type Store struct {
	accounts *sql.DB // one connection, the one that writes
	reads    *sql.DB
	nonces   *sql.DB // one connection
	failures *sql.DB // one connection
	insert   *sql.Stmt
	seal     store.Sealer
	batch    *store.Batcher
	close    func() error
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Target = (*Store)(nil)
)

// Open opens the databases in a folder, which are made if they are not there, readable by their owner alone. It
// refuses a folder that others may write to, a database of a newer version of the program, and another sealing key
// than the one it was made with.
func Open(ctx context.Context, folder string, seal store.Sealer) (*Store, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if err := prepareFolder(folder); err != nil {
		return nil, err
	}
	s := &Store{seal: seal}
	if err := s.open(ctx, folder); err != nil {
		s.closeAll()
		return nil, fmt.Errorf("sqlite: database in %s: %w", folder, err)
	}
	s.batch = store.NewBatcher(s.consume)
	s.close = sync.OnceValue(func() error {
		s.batch.Close()
		return s.closeAll()
	})
	return s, nil
}

func prepareFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("sqlite: the database's folder cannot be made: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("sqlite: the database's folder: %w", err)
	}
	if info.Mode()&0o022 != 0 && runtime.GOOS != "windows" { // which has access lists instead
		return fmt.Errorf("sqlite: folder %s can be written by others than its owner; chmod 700 %s", folder, folder)
	}
	for _, name := range []string{accountsFile, noncesFile, failuresFile} {
		path := filepath.Join(folder, name)
		if err := prepareFile(path); err != nil {
			return fmt.Errorf("sqlite: database file %s: %w; make the server's user its owner", path, err)
		}
	}
	return nil
}

// prepareFile makes an empty database, or sees to it that one that is there is its owner's alone; SQLite gives its
// other files this one's mode. The file itself is never open here: closing it would drop the locks (POSIX has them
// by process) of a Store in this process that has it open.
func prepareFile(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".approovgate-*") // made with mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(f.Close(), os.Link(f.Name(), path))
	err = errors.Join(ignore(err, fs.ErrExist), os.Remove(f.Name()))
	if err != nil {
		return err
	}
	return os.Chmod(path, 0o600)
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

func (s *Store) open(ctx context.Context, folder string) error {
	var err error
	for _, file := range []struct {
		db          **sql.DB
		name        string
		connections int
		query       string
	}{
		{&s.accounts, accountsFile, 1, durable + "&_txlock=immediate&_pragma=secure_delete(1)"},
		{&s.nonces, noncesFile, 1, durable + "&_txlock=immediate"},
		{&s.failures, failuresFile, 1, "_synchronous=NORMAL&_txlock=immediate"}, // a machine that stops may lose the last ones
		{&s.reads, accountsFile, readers, durable + "&_query_only=1"},
	} {
		if *file.db, err = connect(filepath.Join(folder, file.name), file.connections, file.query); err != nil {
			return err
		}
	}
	if err := migrate(ctx, s.accounts, "migrations/accounts"); err != nil {
		return fmt.Errorf("%s: %w", accountsFile, err)
	}
	if err := migrate(ctx, s.nonces, "migrations/nonces"); err != nil {
		return fmt.Errorf("%s: %w", noncesFile, err)
	}
	if err := migrate(ctx, s.failures, "migrations/failures"); err != nil {
		return fmt.Errorf("%s: %w; the file may be deleted, nothing but approov explain needs it", failuresFile, err)
	}
	s.insert, err = s.nonces.PrepareContext(ctx, insertNonce)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx tables.Tx) error { return tables.CheckSeal(ctx, tx, s.seal) })
}

// durable: a transaction that is committed outlives the machine.
const durable = "_synchronous=FULL"

// connect prepares connections; the first use opens one. dqs=0: a misspelt column is an error and not a text.
func connect(path string, connections int, query string) (*sql.DB, error) {
	common := "&_foreign_keys=1&_journal_mode=WAL&_dqs=0&_defensive=1&_pragma=trusted_schema(0)" +
		"&_time_integer_format=unix_micro&_busy_timeout=" + strconv.FormatInt(busyTime.Milliseconds(), 10)
	at := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query + common}
	db, err := sql.Open("sqlite", at.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

const (
	migrationTries = 20
	migrationPause = 100 * time.Millisecond
)

// migrate brings a database to the schema that the program knows. Of several processes that do it at once one
// succeeds with each step, because a step is a transaction; the others find it done when they try again.
func migrate(ctx context.Context, db *sql.DB, folder string) error {
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := schema.Up(ctx, provider)
		if err == nil || !raced(err) || try == migrationTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(migrationPause):
		}
	}
}

// raced says whether an error can come of another process that migrates: something is locked, or there already.
func raced(err error) bool {
	var failed *driver.Error
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.Code() & 0xff { // the primary code
	case sqlitelib.SQLITE_ERROR, sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_CONSTRAINT:
		return true
	}
	return false
}

// Close ends the Store. What waits in Consume is refused.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeAll() error {
	var all error
	if s.insert != nil {
		all = s.insert.Close()
	}
	for _, db := range []*sql.DB{s.nonces, s.failures, s.reads, s.accounts} {
		if db != nil {
			all = errors.Join(all, db.Close())
		}
	}
	return all
}

// Changed is nil: SQLite does not tell.
func (s *Store) Changed() <-chan struct{} { return nil }

// Generation is store.Store's.
func (s *Store) Generation(ctx context.Context) (generation int64, err error) {
	err = s.read(ctx, func(tx tables.Tx) error {
		generation, err = tables.Generation(ctx, tx)
		return err
	})
	return generation, err
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

// Create is store.Store's.
func (s *Store) Create(ctx context.Context, a *account.Account) error {
	return s.write(ctx, func(tx tables.Tx) error { return tables.Create(ctx, tx, s.seal, a) })
}

// Change is store.Store's. The function must not use the Store: it would wait for itself.
func (s *Store) Change(ctx context.Context, name string, change func(*account.Account) error) (after *account.Account, err error) {
	err = s.write(ctx, func(tx tables.Tx) error {
		after, _, err = tables.Change(ctx, tx, s.seal, name, change)
		return err
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// Import is store.Target's.
func (s *Store) Import(ctx context.Context, fill func(context.Context, store.Writer) error) error {
	return s.write(ctx, func(tx tables.Tx) error { return tables.Import(ctx, tx, s.seal, fill) })
}
