package sqlite

import (
	"context"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/approovgate/approovgate/attestserver/store/internal/tables"
)

// onFailures runs do in a transaction on the failed attestations.
func (s *Store) onFailures(ctx context.Context, do func(tables.Tx) error) error {
	return within(ctx, s.failures, do)
}

// KeepFailures is store.Store's.
func (s *Store) KeepFailures(ctx context.Context, failures []store.Failure) error {
	return s.onFailures(ctx, func(tx tables.Tx) error { return tables.KeepFailures(ctx, tx, failures) })
}

// Failures is store.Store's.
func (s *Store) Failures(ctx context.Context, q store.FailureQuery) (all []store.Failure, err error) {
	err = s.onFailures(ctx, func(tx tables.Tx) error {
		all, err = tables.Failures(ctx, tx, q)
		return err
	})
	return all, err
}

// PruneFailures is store.Store's.
func (s *Store) PruneFailures(ctx context.Context, now time.Time) (int, error) {
	return tables.PruneFailures(ctx, s.onFailures, now)
}
