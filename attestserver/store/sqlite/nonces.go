package sqlite

import (
	"context"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
)

const (
	insertNonce = `INSERT INTO used_nonce (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`

	deleteNonces = `
DELETE FROM used_nonce WHERE id IN (SELECT id FROM used_nonce WHERE until <= $1 ORDER BY until LIMIT $2)`
)

// Consume is store.Store's. Calls that are made at once share a transaction.
func (s *Store) Consume(ctx context.Context, nonces []store.Nonce) ([]bool, error) {
	return s.batch.Consume(ctx, nonces)
}

// consume marks distinct nonces in one transaction. Its statements are not interrupted: they are short, and busyTime
// bounds the wait for other processes.
func (s *Store) consume(ctx context.Context, nonces []store.Nonce) ([]bool, error) {
	ctx = context.WithoutCancel(ctx)
	tx, err := s.nonces.BeginTx(ctx, nil)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	insert := tx.StmtContext(ctx, s.insert)
	fresh := make([]bool, len(nonces))
	for i, n := range nonces {
		result, err := insert.ExecContext(ctx, n.ID[:], n.Until.UnixMicro())
		if err != nil {
			return nil, unavailable(ctx, err)
		}
		inserted, err := result.RowsAffected()
		if err != nil {
			return nil, unavailable(ctx, err)
		}
		fresh[i] = inserted == 1
	}
	if err := tx.Commit(); err != nil {
		return nil, unavailable(ctx, err)
	}
	return fresh, nil
}

// Prune forgets nonces in steps, so that those who consume others never wait long, and in bounds: if it returns
// store.PruneBound there may be more.
func (s *Store) Prune(ctx context.Context, now time.Time) (int, error) {
	return store.PruneSteps(func(limit int) (int, error) {
		result, err := s.nonces.ExecContext(ctx, deleteNonces, now.UnixMicro(), limit)
		if err != nil {
			return 0, unavailable(ctx, err)
		}
		n, err := result.RowsAffected()
		return int(n), err
	})
}
