package postgres

import (
	"context"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/internal/tables"
)

// unsynced has a transaction committed without waiting for the disk. If the machine stops, its last ones are lost.
const unsynced = `SET LOCAL synchronous_commit = off`

// KeepFailures is store.Store's.
func (s *Store) KeepFailures(ctx context.Context, failures []store.Failure) error {
	return s.write(ctx, func(tx tables.Tx) error {
		if err := tx.Run(ctx, []tables.Statement{{SQL: unsynced}}); err != nil {
			return err
		}
		return tables.KeepFailures(ctx, tx, failures)
	})
}

// Failures is store.Store's.
func (s *Store) Failures(ctx context.Context, q store.FailureQuery) (all []store.Failure, err error) {
	err = s.read(ctx, func(tx tables.Tx) error {
		all, err = tables.Failures(ctx, tx, q)
		return err
	})
	return all, err
}

// PruneFailures is store.Store's. Of servers that prune at once each takes the rows in the same order.
func (s *Store) PruneFailures(ctx context.Context, now time.Time) (int, error) {
	return tables.PruneFailures(ctx, s.write, now)
}
