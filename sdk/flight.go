package sdk

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// flight is an attestation under way, for all fetches that need it.
type flight struct {
	pay    string        // what its tokens will be bound to
	done   chan struct{} // closed when what follows is set
	tokens *tokens       // nil: there are none, status and err say why
	status Status
	err    error
}

// landed is a flight that is over.
func landed(f flight) *flight {
	f.done = make(chan struct{})
	close(f.done)
	return &f
}

// join returns the attestation to wait for: one that is under way, or a new one. With pay, it binds to that.
func (c *Client) join(pay *string) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pay != nil {
		c.bind(*pay)
	}
	now := time.Now()
	if t := c.tokens.Load(); t != nil && now.Before(t.until) {
		return landed(flight{tokens: t}) // it came in just now
	}
	return c.start(now)
}

// renew starts an attestation in the background while the tokens are still good. Nobody waits for it; one that fails
// is tried again by a later fetch.
func (c *Client) renew(t *tokens) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens.Load() == t {
		c.start(time.Now())
	}
}

// start returns the attestation under way, or a new one unless it is too early for that. The caller holds mu.
func (c *Client) start(now time.Time) *flight {
	switch {
	case c.closed:
		return landed(flight{status: NotInitialized, err: errClosed})
	case c.flight != nil && c.flight.pay == c.pay:
		return c.flight
	case now.Before(c.pause.until):
		return landed(flight{status: c.pause.status, err: c.pause.err})
	}
	var delay time.Duration
	if c.attested != "" && c.attested != c.pay { // the first data is no change
		var ok bool
		if delay, ok = c.binds.take(now); !ok {
			return landed(flight{status: PoorNetwork, err: errTooManyBinds})
		}
	}
	c.attested = c.pay
	f := &flight{pay: c.pay, done: make(chan struct{})}
	c.flight = f
	c.running.Add(1)
	go c.fly(f, delay)
	return f
}

var (
	errClosed       = errors.New("the client is closed")
	errTooManyBinds = errors.New("the bound data changes too often")
	errTimeout      = errors.New("the service did not answer in time")
)

// fly has the app attested and hands out what came of it.
func (c *Client) fly(f *flight, delay time.Duration) {
	defer c.running.Done()
	ctx, cancel := context.WithTimeoutCause(c.life, c.settings.Load().total, errTimeout)
	defer cancel()
	var got *tokens
	var failure *failure
	if sleep(ctx, delay) {
		got, failure = c.attest(ctx, f.pay)
	} else {
		failure = failed(PoorNetwork, errTooManyBinds)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	f.tokens = got
	if failure != nil {
		f.status, f.err = failure.status, failure.err
		if c.closed {
			f.status, f.err = NotInitialized, errClosed
		}
	}
	if f.pay == c.pay && !c.closed { // otherwise the data was changed meanwhile, and these tokens are for those who waited only
		if got != nil {
			c.tokens.Store(got)
		}
		c.pause.note(failure, time.Now())
	}
	if c.flight == f {
		c.flight = nil
	}
	close(f.done)
}

// sleep waits, and reports whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// The pause after failures: it doubles with every one in a row. It is short, because the next fetch may be a user's
// who has just found a network; only a service that asks for more gets more.
const (
	firstPause     = 250 * time.Millisecond
	longestPause   = 8 * time.Second
	longestRequest = time.Minute // what a service may ask for with Retry-After
)

// pause is when the service may be asked again. Until then fetches get what the last one got.
type pause struct {
	failures int
	until    time.Time
	status   Status
	err      error
}

func (p *pause) note(f *failure, now time.Time) {
	if f == nil {
		*p = pause{}
		return
	}
	p.status, p.err = f.status, f.err
	if f.status == NoNetwork { // nobody was asked
		return
	}
	wait := min(firstPause<<min(p.failures, 10), longestPause)
	wait -= rand.N(wait/4 + 1) // not all apps at once
	p.failures++
	p.until = now.Add(max(wait, min(f.after, longestRequest)))
}

// Changes of the bound data: so many in a row, and then one in so long (manual, "Setting the Binding").
const (
	bindBurst = 10
	bindEvery = 2 * time.Second
	bindAhead = 5 // fetches may wait for their turn; the others fail
)

// bucket counts changes of the bound data.
type bucket struct{ next time.Time }

// take returns how long to wait before the next attestation with changed data. ok is false if that is too long.
func (b *bucket) take(now time.Time) (delay time.Duration, ok bool) {
	if earliest := now.Add(-bindBurst * bindEvery); b.next.Before(earliest) {
		b.next = earliest
	}
	delay = b.next.Add(bindEvery).Sub(now)
	if delay > bindAhead*bindEvery {
		return 0, false
	}
	b.next = b.next.Add(bindEvery)
	return max(delay, 0), true
}
