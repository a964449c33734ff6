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
	maxWaiting = 1000            // of all accounts, besides as many that are being written; half of them may be made up
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
	madeUp  int             // of waiting: so many are not proven
	taken   map[string]room // by account, in this second

	writing chan struct{}   // holds one while somebody writes, who has the field below
	batch   []store.Failure // could not be written yet

	tries int // of the batch; run's own
	lost  int // failures that could not be kept, since some could; run's own
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
	if *place >= most || len(f.waiting) >= maxWaiting || !proven && f.madeUp >= maxWaiting/2 {
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
	if !one.failure.Proven {
		f.madeUp++
	}
}

// run writes until ctx ends. It also has the store forget.
func (f *failures) run(ctx context.Context) {
	keep, prune := time.NewTicker(keepEvery), time.NewTicker(pruneEvery)
	defer keep.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-keep.C:
			f.tick(ctx)
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

// tick is what is done every second. A batch that cannot be written is tried again, while what comes meanwhile waits
// and no more is taken in than has room; after keepTries it is dropped for the newer ones.
func (f *failures) tick(ctx context.Context) {
	err := f.write(ctx)
	if err == nil {
		f.tries = 0
		if f.lost > 0 {
			f.log.Warn("failed attestations are kept again", slog.Int("lost", f.lost))
			f.lost = 0
		}
		f.mu.Lock()
		f.taken = nil
		f.mu.Unlock()
		return
	}
	if f.tries++; f.tries < keepTries {
		return
	}
	f.tries = 0
	f.giveUp(err)
}

// giveUp drops the batch that could not be written. It is logged once, until it works again.
func (f *failures) giveUp(err error) {
	f.writing <- struct{}{} // write holds it for keepTime at most
	defer func() { <-f.writing }()
	if len(f.batch) == 0 { // somebody who asked has had it written
		return
	}
	if f.lost == 0 {
		f.log.Error("failed attestations could not be kept; they cannot be explained, nor those that follow until they are kept again", slog.Int("attestations", len(f.batch)), slog.Any("error", err))
	}
	f.lost += len(f.batch)
	f.dropped.Add(float64(len(f.batch)))
	f.batch = nil
}

// write writes what waits, or the batch that could not be written before.
func (f *failures) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	select {
	case f.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.writing }()
	for { // a batch that was left, and then what waits, of which there is a bounded number in a second
		if len(f.batch) == 0 && !f.take() {
			return nil
		}
		if err := f.store.KeepFailures(ctx, f.batch); err != nil {
			return err
		}
		f.batch = nil
	}
}

// take makes a batch of what waits, if anything does.
func (f *failures) take() bool {
	f.mu.Lock()
	waiting := f.waiting
	f.waiting, f.madeUp = nil, 0
	f.mu.Unlock()
	for _, one := range waiting {
		f.batch = append(f.batch, one.complete())
	}
	return len(f.batch) > 0
}

// KeepFailures writes the failed attestations that wait for it, up to a second old, so that they can be asked for.
func (s *Server) KeepFailures(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keepTime) // a log may hang that is written to before
	defer cancel()
	if err := s.afterwards.wait(ctx); err != nil {
		return err
	}
	return s.failures.write(ctx)
}

// keepLast writes what is left when the server ends.
func (s *Server) keepLast(ctx context.Context) {
	if err := s.KeepFailures(ctx); err != nil {
		s.failures.giveUp(err)
	}
}
