package gate

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/source"
)

const (
	neverDue   = time.Duration(1<<63 - 1)
	retryAfter = 10 * time.Second // at most, until a source that has failed is asked again
)

// Due reports whether Poll has something to do. It is cheap enough to be asked with every request.
func (g *Gate) Due() bool {
	now := int64(g.o.Elapsed())
	return now >= atomic.LoadInt64(&g.nextDue) ||
		atomic.LoadInt32(&g.unknownKid) != 0 && now >= atomic.LoadInt64(&g.nextEarly)
}

// PollNow makes every source due, those that are being asked once they have answered.
func (g *Gate) PollNow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.remotes {
		r.due = 0
	}
	g.schedule()
}

// schedule notes for Due when the next source is due. mu is held.
func (g *Gate) schedule() {
	next, early := g.nextSample, neverDue
	for _, r := range g.remotes {
		if r.busy {
			continue
		}
		if r.due < next {
			next = r.due
		}
		if !r.isControl() && r.earlyFrom < early {
			early = r.earlyFrom
		}
	}
	atomic.StoreInt64(&g.nextDue, int64(next))
	atomic.StoreInt64(&g.nextEarly, int64(early))
}

// Poll asks the sources whose time has come and takes what is new and good into force; what is not changes
// nothing and shows in Status. It returns when all of those it asked have answered or failed, which takes at
// most source.FetchTimeout, and what is to be kept is on disk. Sources that another call is asking already are
// left to it.
func (g *Gate) Poll(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range g.begin() {
		asked := r
		all.Add(1)
		go func() {
			defer all.Done()
			g.ask(ctx, asked)
		}()
	}
	all.Wait()
}

// begin marks the sources that are due as busy and returns them. It is also when time that has passed shows:
// overrides that have ended, and use of keys.
func (g *Gate) begin() []*remote {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Elapsed()
	g.noticeEnds()
	if now >= g.nextSample {
		g.nextSample = now + sampleEvery
		if g.o.Kin.first() == g {
			g.counters.sample(g.o.Now())
		}
	}
	wanted := atomic.LoadInt32(&g.unknownKid) != 0
	var due []*remote
	for _, r := range g.remotes {
		early := wanted && !r.isControl() && now >= r.earlyFrom
		if r.busy || now < r.due && !early {
			continue
		}
		if early {
			r.earlyFrom = now + r.interval
			atomic.StoreInt32(&g.unknownKid, 0)
		}
		r.busy, r.due = true, neverDue
		due = append(due, r)
	}
	g.schedule()
	return due
}

// ask fetches one document, puts it into force and keeps it.
func (g *Gate) ask(ctx context.Context, r *remote) {
	g.mu.Lock()
	tag, fetcher := r.tag, r.fetcher
	g.mu.Unlock()
	got, err := fetcher.Fetch(ctx, tag)
	g.answered(ctx, r, got, err)
	for save := g.beginSave(r); save != nil; {
		save = g.endSave(r, save, save()) // without mu: a disk that hangs must hold up nothing else
	}
}

// answered notes what came of a fetch.
func (g *Gate) answered(ctx context.Context, r *remote, got source.Fetched, err error) {
	defer g.spread()
	g.mu.Lock()
	defer g.mu.Unlock()
	r.busy = false
	if !g.holds(r) {
		return // the policy has dropped it meanwhile
	}
	defer g.schedule()
	now, elapsed := g.o.Now(), g.o.Elapsed()
	if err != nil && ctx.Err() != nil {
		r.due = elapsed // the caller has given up, which says nothing of the source
		return
	}
	r.status.Tried = now
	r.status.Tries++
	if err == nil && !got.Unchanged {
		if err = g.take(r, got.Text); err == nil {
			r.tag = got.Tag
			r.toSave(got.Text)
		}
	}
	wait := r.interval
	if err != nil && wait > retryAfter {
		wait = retryAfter
	}
	if r.due == neverDue { // else PollNow or a new policy has made it due
		r.due = elapsed + jittered(wait)
	}
	if err != nil {
		r.status.Fails++
		g.failed(r, err.Error())
		return
	}
	if r.status.Failure != "" {
		g.tell(Event{Kind: SourceRecovered, Source: r.field})
	}
	r.status.Failure, r.status.Good, r.status.Kept = "", now, false
}

// failed notes why the last good document of a source, if there is one, stays. What lasts is told once. mu is held.
func (g *Gate) failed(r *remote, failure string) {
	if r.status.Failure != failure {
		r.status.Failure = failure
		g.tell(Event{Kind: SourceFailing, Source: r.field, Text: failure})
	}
}

// holds reports whether r is still one of the gate's remotes.
func (g *Gate) holds(r *remote) bool {
	for _, one := range g.remotes {
		if one == r {
			return true
		}
	}
	return false
}

// jittered spreads the moments at which many gates ask, by a tenth to both sides.
func jittered(interval time.Duration) time.Duration {
	return interval + time.Duration((rand.Float64()-0.5)/5*float64(interval))
}

// take puts a fetched or kept document into force if it is good. mu is held.
func (g *Gate) take(r *remote, text []byte) error {
	if r.isControl() {
		return g.takeControl(r, string(text))
	}
	next, err := r.read(text, g.name, g.o.Now())
	if err != nil {
		return err
	}
	if err := g.replaceEntry(r, next.entry); err != nil {
		return err
	}
	r.held = next
	return nil
}

// read verifies a document that holds keys. The keys stay in the function that makes an entry of them.
func (r *remote) read(text []byte, name string, now time.Time) (held, error) {
	next := held{remake: func(k config.Key) (entry, error) { return readEntry(k, text) }}
	if r.isRing() {
		ring, err := OpenRing(string(text), r.ring, name, now)
		if err != nil {
			return held{}, err
		}
		if ring.Version < r.held.version {
			return held{}, fmt.Errorf("version: %d is lower than %d, which is in force", ring.Version, r.held.version)
		}
		next.version = ring.Version
		next.remake = func(k config.Key) (entry, error) { return readRing(k, ring) }
	}
	var err error
	next.entry, err = next.remake(r.key)
	return next, err
}

// takeControl puts a remote control document into force. The one in force may be seen again.
func (g *Gate) takeControl(r *remote, envelope string) error {
	c, err := OpenControl(envelope, r.ring, g.name, g.o.Now())
	if err != nil {
		return err
	}
	if c.Same(g.control[Remote]) {
		return nil
	}
	problems := g.setControl(Remote, c)
	if config.Failed(problems) {
		return errors.New(firstError(problems))
	}
	return nil
}
