package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// inFlight bounds how many requests are at the upstream at once: those that it has not begun to answer.
// Requests above that wait in line, as many and as long as configured, and are then turned away, so that those
// inside are served as fast as ever. Only requests that the gate has let through get here. Once a response has
// begun its pace may be the client's, or it may be a stream that never ends: the bound on connections is theirs.
type inFlight struct {
	places  chan struct{} // holds one value for each request inside
	line    int64
	timeout time.Duration

	waiting  atomic.Int64
	full     atomic.Int64 // turned away because the line was full
	timedOut atomic.Int64 // turned away after the timeout
}

func newInFlight(l Limits) *inFlight {
	return &inFlight{places: make(chan struct{}, l.InFlight), line: int64(l.Queue), timeout: l.QueueTimeout}
}

// enter waits for a place. It reports false when there was none in time, or when ctx ended: the client has
// gone. Whoever got true calls leave.
func (f *inFlight) enter(ctx context.Context) bool {
	select {
	case f.places <- struct{}{}:
		return true
	default:
	}
	if f.waiting.Add(1) > f.line {
		f.waiting.Add(-1)
		f.full.Add(1)
		return false
	}
	defer f.waiting.Add(-1)
	patience := time.NewTimer(f.timeout)
	defer patience.Stop()
	select {
	case f.places <- struct{}{}: // those who wait are served in order
		return true
	case <-patience.C:
		f.timedOut.Add(1)
	case <-ctx.Done():
	}
	return false
}

// leave frees the place.
func (f *inFlight) leave() { <-f.places }

// inside is how many requests are at the upstream.
func (f *inFlight) inside() int { return len(f.places) }

// place is one request's place, from when it goes to the upstream until that has answered. Only the goroutine
// that serves the request touches it.
type place struct {
	inFlight *inFlight
	held     bool
}

// errNoPlace is the fate of a request that got no place.
var errNoPlace = errors.New("too many requests are at the upstream")

// enter waits for the place.
func (p *place) enter(ctx context.Context) error {
	if p.held = p.inFlight.enter(ctx); !p.held {
		return errNoPlace
	}
	return nil
}

// leave frees the place if it is held.
func (p *place) leave() {
	if p.held {
		p.held = false
		p.inFlight.leave()
	}
}
