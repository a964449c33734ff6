package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestserver/store"
	"github.com/jackc/pgx/v5"
)

const (
	insertNonces = `
INSERT INTO used_nonce (id, until) SELECT * FROM unnest($1::bytea[], $2::timestamptz[])
ON CONFLICT (id) DO NOTHING RETURNING id`

	// Servers that prune at once take different rows.
	deleteNonces = `
DELETE FROM used_nonce WHERE id IN (
	SELECT id FROM used_nonce WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

// Consume is store.Store's. Calls that are made at once share a statement.
func (s *Store) Consume(ctx context.Context, nonces []store.Nonce) ([]bool, error) {
	return s.batch.Consume(ctx, nonces)
}

// consume marks distinct nonces in one statement, which is a transaction. If the connection breaks before the answer
// is there it may have been committed: that is an error, and who asks again finds the nonces used.
func (s *Store) consume(ctx context.Context, nonces []store.Nonce) ([]bool, error) {
	sorted := slices.Clone(nonces) // so that two servers' batches wait for each other's rows in one order
	slices.SortFunc(sorted, func(x, y store.Nonce) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	ids, untils := make([][]byte, len(sorted)), make([]time.Time, len(sorted))
	for i := range sorted {
		ids[i], untils[i] = sorted[i].ID[:], sorted[i].Until
	}
	var inserted map[[16]byte]bool
	for try := 1; ; try++ {
		var err error
		inserted, err = s.insert(ctx, ids, untils)
		if err == nil {
			break
		}
		if try == tries || !undone(err) {
			return nil, s.unavailable(ctx, err)
		}
	}
	fresh := make([]bool, len(nonces))
	for i, n := range nonces {
		fresh[i] = inserted[n.ID]
	}
	return fresh, nil
}

func (s *Store) insert(ctx context.Context, ids [][]byte, untils []time.Time) (map[[16]byte]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	found, err := s.nonces.Query(ctx, insertNonces, ids, untils)
	if err != nil {
		return nil, err
	}
	inserted := make(map[[16]byte]bool, len(ids))
	var id []byte
	_, err = pgx.ForEachRow(found, []any{&id}, func() error {
		inserted[[16]byte(id)] = true // the table holds 16 bytes for each
		return nil
	})
	return inserted, err
}

// Prune forgets nonces in steps, so that it never locks many, and in bounds: if it returns store.PruneBound there may
// be more.
func (s *Store) Prune(ctx context.Context, now time.Time) (int, error) {
	if s.closed.Load() {
		return 0, closedOr(ctx)
	}
	return store.PruneSteps(func(limit int) (int, error) {
		limited, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		tag, err := s.nonces.Exec(limited, deleteNonces, now, limit)
		return int(tag.RowsAffected()), s.unavailable(ctx, err)
	})
}

// closedOr is the error of a store that is closed, unless the caller has given up itself.
func closedOr(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return store.ErrClosed
}
