package tables

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
)

const (
	insertFailure = `INSERT INTO failure (account, at, request, device, proven, found) VALUES ($1, $2, $3, $4, $5, $6)`

	readFailures = `SELECT account, at, request, device, proven, found FROM failure WHERE account = $1 AND `
	ofRequest    = readFailures + `request = $2 ORDER BY at DESC, id DESC LIMIT $3`
	ofDevice     = readFailures + `device = $2 AND proven = $4 ORDER BY at DESC, id DESC LIMIT $3`

	// The next account in the index, however many rows each has.
	readNext = `SELECT account FROM failure WHERE account > $1 ORDER BY account LIMIT 1`

	readOld    = `SELECT id FROM failure WHERE account = $1 AND proven = $2 AND at < $3 ORDER BY at, id LIMIT $4`
	readAhead  = `SELECT id FROM failure WHERE account = $1 AND proven = $2 AND at > $3 ORDER BY at, id LIMIT $4`
	readExcess = `SELECT id FROM failure WHERE account = $1 AND proven = $2 ORDER BY at DESC, id DESC LIMIT $3 OFFSET $4`

	deleteFailure = `DELETE FROM failure WHERE id = $1`
)

// KeepFailures is what Store.KeepFailures does within a transaction.
func KeepFailures(ctx context.Context, tx Tx, failures []store.Failure) error {
	statements := make([]Statement, 0, len(failures))
	for _, f := range failures {
		found, err := toJSON(f.Found)
		if err != nil {
			return fmt.Errorf("store: a failed attestation: %w", err)
		}
		s := Statement{insertFailure, nil}
		for _, value := range (row{f.Account, store.Moment(f.At), f.Request, f.Device, f.Proven, found}) {
			encoded, err := encode(value)
			if err != nil {
				return fmt.Errorf("store: a failed attestation: %w", err)
			}
			s.Args = append(s.Args, encoded)
		}
		statements = append(statements, s)
	}
	return tx.Run(ctx, statements)
}

// Failures is what Store.Failures does within a transaction.
func Failures(ctx context.Context, tx Tx, q store.FailureQuery) ([]store.Failure, error) {
	switch {
	case q.Limit <= 0:
		return nil, nil
	case q.Request != "":
		return readAll(ctx, tx, ofRequest, q.Account, q.Request, int64(q.Limit))
	}
	proven, err := readAll(ctx, tx, ofDevice, q.Account, q.Device, int64(q.Limit), true)
	if err != nil {
		return nil, err
	}
	madeUp, err := readAll(ctx, tx, ofDevice, q.Account, q.Device, int64(q.Limit), false)
	if err != nil {
		return nil, err
	}
	room := q.Limit - min(len(proven), (q.Limit+1)/2)
	all := append(proven, madeUp[:min(len(madeUp), room)]...)
	slices.SortStableFunc(all, func(a, b store.Failure) int { return b.At.Compare(a.At) })
	return all[:min(len(all), q.Limit)], nil
}

func readAll(ctx context.Context, tx Tx, sql string, args ...any) (all []store.Failure, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var f store.Failure
		if err := rows.Scan(&f.Account, moment{&f.At}, &f.Request, &f.Device, &f.Proven, object{&f.Found}); err != nil {
			rows.Close()
			return nil, fmt.Errorf("store: table failure: %w", err)
		}
		all = append(all, f)
	}
	return all, closed(rows)
}

// PruneFailures is Store.PruneFailures, in as many transactions as it takes, each of which forgets a bounded number.
// It goes by account and kind, so that every step finds its rows in an index.
func PruneFailures(ctx context.Context, within func(context.Context, func(Tx) error) error, now time.Time) (total int, err error) {
	before, ahead := now.Add(-store.FailureAge), now.Add(store.FailureAge)
	for name := ""; ; {
		var there bool
		if err := within(ctx, func(tx Tx) (err error) {
			name, there, err = nextAccount(ctx, tx, name)
			return err
		}); err != nil || !there {
			return total, err
		}
		for _, ids := range []func(Tx, bool) ([]int64, error){
			func(tx Tx, proven bool) ([]int64, error) {
				return failureIDs(ctx, tx, readOld, name, proven, before, int64(store.FailureStep))
			},
			func(tx Tx, proven bool) ([]int64, error) { // of a clock that was wrong
				return failureIDs(ctx, tx, readAhead, name, proven, ahead, int64(store.FailureStep))
			},
			func(tx Tx, proven bool) ([]int64, error) {
				return failureIDs(ctx, tx, readExcess, name, proven, int64(store.FailureStep), int64(store.MaxFailures))
			},
		} {
			for _, proven := range []bool{true, false} {
				n, err := forget(ctx, within, func(tx Tx) ([]int64, error) { return ids(tx, proven) })
				if total += n; err != nil {
					return total, err
				}
			}
		}
	}
}

// forget deletes what ids finds until there is no more.
func forget(ctx context.Context, within func(context.Context, func(Tx) error) error, ids func(Tx) ([]int64, error)) (total int, err error) {
	for {
		n := 0
		err := within(ctx, func(tx Tx) error {
			found, err := ids(tx)
			if err != nil {
				return err
			}
			if n = len(found); n == 0 {
				return nil
			}
			var statements []Statement
			for _, id := range found {
				statements = append(statements, Statement{deleteFailure, []any{id}})
			}
			return tx.Run(ctx, statements)
		})
		if err != nil {
			return total, err
		}
		if total += n; n < store.FailureStep {
			return total, nil
		}
	}
}

func nextAccount(ctx context.Context, tx Tx, after string) (name string, there bool, err error) {
	rows, err := tx.Query(ctx, readNext, after)
	if err != nil {
		return "", false, err
	}
	if rows.Next() {
		there, err = true, rows.Scan(&name)
	}
	if failed := closed(rows); err == nil {
		err = failed
	}
	return name, there, err
}

func failureIDs(ctx context.Context, tx Tx, sql string, args ...any) (all []int64, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return nil, err
		}
		all = append(all, id)
	}
	return all, closed(rows)
}
