package tables

import (
	"context"
	"fmt"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/store"
)

const (
	insertEntry = `
INSERT INTO audit (account, sequence, at, made_by, role, action, subject, detail, request)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

	readEntries = `
SELECT sequence, at, made_by, role, action, subject, detail, request
FROM audit WHERE account = $1 AND (CAST($2 AS BIGINT) <= 0 OR sequence < $2) ORDER BY sequence DESC LIMIT $3`

	readLastEntry = `SELECT COALESCE(MAX(sequence), 0) FROM audit WHERE account = $1`
	readExists    = `SELECT 1 FROM account WHERE name = $1`
	readAny       = `SELECT 1 FROM account LIMIT 1`
)

// numbered are the statements that append entries to the audit log of an account that nobody else changes meanwhile.
func numbered(ctx context.Context, tx Tx, name string, entries []account.Entry) ([]Statement, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	last, _, err := number(ctx, tx, readLastEntry, name)
	if err != nil {
		return nil, err
	}
	var all []Statement
	for _, e := range entries {
		last++
		e.Sequence = last
		s, err := entry(name, e)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// entry is the statement that writes one entry with the number it has.
func entry(name string, e account.Entry) (Statement, error) {
	values := row{name, e.Sequence, store.Moment(e.At), e.By, string(e.Role), e.Action, e.Subject, e.Detail, e.Request}
	var args []any
	for _, value := range values {
		encoded, err := encode(value)
		if err != nil {
			return Statement{}, fmt.Errorf("store: an entry for the audit log of account %s: %w", name, err)
		}
		args = append(args, encoded)
	}
	return Statement{insertEntry, args}, nil
}

// number is the first value of the first row, if there is one.
func number(ctx context.Context, tx Tx, sql string, args ...any) (n int64, there bool, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return 0, false, err
	}
	if rows.Next() {
		there, err = true, rows.Scan(&n)
	}
	if failed := closed(rows); err == nil {
		err = failed
	}
	return n, there, err
}

// Audit is what Store.Audit does within a transaction.
func Audit(ctx context.Context, tx Tx, name string, before int64, limit int) ([]account.Entry, error) {
	_, there, err := number(ctx, tx, readExists, name)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, store.ErrNotFound
	}
	if limit <= 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, readEntries, name, before, int64(limit))
	if err != nil {
		return nil, err
	}
	var all []account.Entry
	for rows.Next() {
		var e account.Entry
		if err := rows.Scan(&e.Sequence, moment{&e.At}, &e.By, &e.Role, &e.Action, &e.Subject, &e.Detail, &e.Request); err != nil {
			rows.Close()
			return nil, fmt.Errorf("store: table audit: %w", err)
		}
		all = append(all, e)
	}
	return all, closed(rows)
}
