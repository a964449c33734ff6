package attestserver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestserver/store"
)

// What of failed attestations is kept, for those who ask why. Attestations never wait for it: a failure is noted in
// memory once its answer has been sent, and written with the others of the same second. What is too much is dropped,
// and counted.
const (
	keepEvery  = time.Second
	keepTime   = 3 * time.Second // that writing may take
	keepTries  = 10              // of a batch, before the next one has its turn
	maxWaiting = 1000            // of all accounts, besides as many that are being written
	maxProven  = 100             // of an account, in a second, see store.Failure
	maxMadeUp  = 50              // of an account, in a second, that are not proven
)

// failures has failed attestations kept. It is safe for concurrent use.
type failures struct {
	store   Store
	now     func() time.Time
	dropped prometheus.Counter
	log     *slog.Logger

	mu      sync.Mutex // guards the fields below
	waiting []noted
	taken   map[string]room // by account, in this second

	writing sync.Mutex // held by who writes; guards the fields below
	batch   []store.Failure
	tries   int
}

// room is how many places an account has taken.
type room struct{ proven, madeUp int }

// reserve takes a place for a failure, or counts it as dropped. It is asked first, so that a flood costs nothing more.
func (f *failures) reserve(account string, proven bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.taken[account]
	place, most := &r.madeUp, maxMadeUp
	if proven {
		place, most = &r.proven, maxProven
	}
	if *place >= most || len(f.waiting) >= maxWaiting {
		f.dropped.Inc()
		return false
	}
	*place++
	if f.taken == nil {
		f.taken = map[string]room{}
	}
	f.taken[account] = r
	return true
}

// note has a failure kept that reserve has a place for.
func (f *failures) note(one noted) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, one)
}

// run writes until ctx ends, and then what is left. It also has the store forget.
func (f *failures) run(ctx context.Context) {
	keep, prune := time.NewTicker(keepEvery), time.NewTicker(pruneEvery)
	defer keep.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = f.write(context.WithoutCancel(ctx)) // it has logged what is lost
			return
		case <-keep.C:
			if f.write(ctx) == nil { // else nothing more is taken in than has room while it lasts
				f.mu.Lock()
				f.taken = nil
				f.mu.Unlock()
			}
		case <-prune.C:
			f.prune(ctx)
		}
	}
}

// prune has the store forget failures that are old, or too many.
func (f *failures) prune(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if _, err := f.store.PruneFailures(ctx, f.now()); err != nil && ctx.Err() == nil {
		f.log.Error("failed attestations could not be forgotten", slog.Any("error", err))
	}
}

// write writes what waits. A batch that cannot be written is tried again, while what comes meanwhile waits; after
// keepTries it is dropped for the newer ones.
func (f *failures) write(ctx context.Context) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if len(f.batch) == 0 {
		f.mu.Lock()
		waiting := f.waiting
		f.waiting = nil
		f.mu.Unlock()
		for _, one := range waiting {
			f.batch = append(f.batch, one.complete())
		}
	}
	if len(f.batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	err := f.store.KeepFailures(ctx, f.batch)
	if err == nil {
		f.batch, f.tries = nil, 0
		return nil
	}
	if f.tries++; f.tries >= keepTries {
		f.log.Error("failed attestations could not be kept; they cannot be explained", slog.Int("attestations", len(f.batch)), slog.Any("error", err))
		f.dropped.Add(float64(len(f.batch)))
		f.batch, f.tries = nil, 0
	}
	return err
}

// KeepFailures writes the failed attestations that wait for it, up to a second old, so that they can be asked for.
func (s *Server) KeepFailures(ctx context.Context) error { return s.failures.write(ctx) }
