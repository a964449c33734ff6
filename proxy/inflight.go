package proxy

import (
	"context"
	"sync/atomic"
	"time"
)

// inFlight bounds how many requests are at the upstream at once. Requests above that wait in line, as many
// and as long as configured, and are then turned away, so that those inside are served as fast as ever.
// Only requests that the gate has let through get here.
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

// place is one request's place, for requests that may turn into a long stream.
type place struct {
	inFlight *inFlight
	left     bool // only touched by the goroutine that serves the request
}

// leave frees the place, once.
func (p *place) leave() {
	if !p.left {
		p.left = true
		p.inFlight.leave()
	}
}

// placeKey is where the context of a request that may turn into a long stream has its place.
type placeKey struct{}
