package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/internal/tables"
)

// write runs do in a transaction that locks the file from its beginning (BEGIN IMMEDIATE): what do reads nobody else
// changes before it is committed.
func (s *Store) write(ctx context.Context, do func(tables.Tx) error) error {
	return within(ctx, s.accounts, do)
}

// read runs do in a transaction that sees one state of the database.
func (s *Store) read(ctx context.Context, do func(tables.Tx) error) error {
	return within(ctx, s.reads, do)
}

func within(ctx context.Context, db *sql.DB, do func(tables.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // also when do panics; after Commit it does nothing
	if err := do(transaction{tx}); err != nil {
		return err
	}
	return unavailable(ctx, tx.Commit())
}

// unavailable says of an error that is not of our own making whose it is.
func unavailable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, sql.ErrConnDone) || err.Error() == "sql: database is closed":
		return store.ErrClosed
	}
	return fmt.Errorf("sqlite: %w", err)
}

// transaction is a tables.Tx.
type transaction struct{ tx *sql.Tx }

func (t transaction) Query(ctx context.Context, sql string, args ...any) (tables.Rows, error) {
	rows, err := t.tx.QueryContext(ctx, sql, args...)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return rows, nil
}

func (t transaction) Run(ctx context.Context, statements []tables.Statement) error {
	prepared := map[string]*sql.Stmt{} // a change of many rows repeats few statements
	defer func() {
		for _, p := range prepared {
			p.Close()
		}
	}()
	for _, s := range statements {
		p := prepared[s.SQL]
		if p == nil {
			var err error
			if p, err = t.tx.PrepareContext(ctx, s.SQL); err != nil {
				return unavailable(ctx, err)
			}
			prepared[s.SQL] = p
		}
		if _, err := p.ExecContext(ctx, s.Args...); err != nil {
			return unavailable(ctx, err)
		}
	}
	return nil
}
