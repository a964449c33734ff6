// Package tables is what store/sqlite and store/postgres share: the tables of an account, how an account becomes rows
// and rows an account, and which rows a change writes. Its statements are SQL that both dialects know; the tables
// themselves are made by each dialect's migrations. It begins and ends no transaction, takes no lock and knows no
// driver: that is the dialects' work.
//
// Start reading at Change; lists.go describes the tables, and list.go what is done with each.
package tables

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

// Tx is a transaction of either dialect.
type Tx interface {
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	// Run executes statements, in this order.
	Run(ctx context.Context, statements []Statement) error
}

// Rows are the rows of a Query, read as those of database/sql.
type Rows interface {
	Next() bool
	Scan(places ...any) error
	Err() error
	Close() error
}

// Statement is a statement that returns no rows. Its arguments are strings, integers, booleans, []byte, time.Time
// or nil.
type Statement struct {
	SQL  string
	Args []any
}

var errUnaudited = errors.New("store: an account was changed without an entry for the audit log; append one to its Entries")

// Change is what Store.Change does between beginning a transaction, in which nobody else can change the account, and
// committing it. changed says whether it wrote anything; the returned account is the one after the change.
func Change(ctx context.Context, tx Tx, seal store.Sealer, name string, change func(*account.Account) error) (after *account.Account, changed bool, err error) {
	before, err := read(ctx, tx, seal, name)
	if err != nil {
		return nil, false, err
	}
	a := before.Clone()
	if err := change(a); err != nil {
		return nil, false, err
	}
	if a.Name != name {
		return nil, false, fmt.Errorf("store: account %s cannot be renamed", name)
	}
	entries := a.Entries
	a.Version = before.Version // store's to count
	after = normal(a.Clone())  // change may have kept the other one
	statements, err := changes(seal, before, after)
	if err != nil {
		return nil, false, err
	}
	if len(statements) == 0 && len(entries) == 0 {
		return after, false, nil
	}
	if len(statements) > 0 {
		if len(entries) == 0 {
			return nil, false, errUnaudited
		}
		after.Version++
		update, err := accountArguments(after)
		if err != nil {
			return nil, false, err
		}
		statements = append(statements, Statement{updateAccount, update}, Statement{SQL: nextGeneration})
	}
	log, err := numbered(ctx, tx, name, entries)
	if err != nil {
		return nil, false, err
	}
	if err := tx.Run(ctx, append(statements, log...)); err != nil {
		return nil, false, err
	}
	return after, true, nil
}

// changes are the statements that make an account's rows into another's, without what every change writes. before is
// nil for a new account.
func changes(seal store.Sealer, before, after *account.Account) ([]Statement, error) {
	var all []Statement
	if before != nil && !reflect.DeepEqual(accountRow(before), accountRow(after)) {
		args, err := accountArguments(after)
		if err != nil {
			return nil, err
		}
		all = append(all, Statement{updateAccount, args})
	}
	for _, t := range lists {
		some, err := t.changes(seal, before, after)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Create is what Store.Create does within a transaction.
func Create(ctx context.Context, tx Tx, seal store.Sealer, a *account.Account) error {
	fresh := normal(a.Clone())
	fresh.Version = 1
	if err := insert(ctx, tx, seal, fresh); err != nil {
		return err
	}
	log, err := numbered(ctx, tx, a.Name, a.Entries)
	if err != nil {
		return err
	}
	return tx.Run(ctx, append(log, Statement{SQL: nextGeneration}))
}

// insert writes an account that is not there yet, with the version it has.
func insert(ctx context.Context, tx Tx, seal store.Sealer, a *account.Account) error {
	if a.Name == "" {
		return errors.New("store: an account needs a name")
	}
	if err := checkName(a.Name); err != nil {
		return fmt.Errorf("store: account: %w", err)
	}
	args, err := accountArguments(a)
	if err != nil {
		return err
	}
	statements, err := changes(seal, nil, a)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, insertAccount, args...)
	if err != nil {
		return err
	}
	added := rows.Next()
	if err := closed(rows); err != nil {
		return err
	}
	if !added {
		return store.ErrExists
	}
	return tx.Run(ctx, statements)
}

// closed ends reading rows.
func closed(rows Rows) error {
	err := rows.Close()
	if failed := rows.Err(); failed != nil {
		return failed
	}
	return err
}
