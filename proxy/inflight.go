package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// inFlight bounds how many requests the upstream works on at once. Requests above that wait in line, as many and
// as long as configured, and are then turned away, so that those inside are served as fast as ever. Only requests
// that the gate has let through get here. Streams, and responses that wait for their client, do not count: the
// bound on connections is theirs.
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

// place is one request's place, from when it goes to the upstream until that has done its part.
type place struct {
	inFlight *inFlight
	held     atomic.Bool
}

// errNoPlace is the fate of a request that got no place.
var errNoPlace = errors.New("too many requests are at the upstream")

// enter waits for the place.
func (p *place) enter(ctx context.Context) error {
	if !p.inFlight.enter(ctx) {
		return errNoPlace
	}
	p.held.Store(true)
	return nil
}

// leave frees the place if it is held.
func (p *place) leave() {
	if p.held.CompareAndSwap(true, false) {
		p.inFlight.leave()
	}
}

// slowReader is how long a client may take nothing of its response before the place is given to others. What
// the upstream does meanwhile is wait.
const slowReader = time.Second

// placeWriter is a response whose place is left when the client takes nothing of it for a while.
type placeWriter struct {
	http.ResponseWriter
	stall *stall
}

func newPlaceWriter(w http.ResponseWriter, at *place) *placeWriter {
	return &placeWriter{w, newStall(slowReader, at.leave)}
}

// Unwrap lets http.ResponseController find what the server offers.
func (p *placeWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Write passes bytes on.
func (p *placeWriter) Write(b []byte) (int, error) {
	p.stall.begin()
	defer p.stall.end()
	return p.ResponseWriter.Write(b)
}

// FlushError passes on what is buffered.
func (p *placeWriter) FlushError() error {
	p.stall.begin()
	defer p.stall.end()
	return http.NewResponseController(p.ResponseWriter).Flush()
}
