// Package pinwatch is the pin monitor of the attestation service: it looks at every API domain of every account from
// time to time, sees whether the pins that apps are told still match, and says so when that changes: in the log, as
// metrics, and to a webhook (Approov's go-live checklist: warnings when pins change).
//
// It owns what is known of the domains, and the connections to them; how a server is asked is package pins'. It must
// not change an account, and never holds up those who attest or manage.
//
// Start reading at Watcher.Run, then watched.take, which judges a look.
package pinwatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/pins"
)

// The bounds and the rhythm of looking. A look takes Looker.Timeout at most, so the domains of an account that all
// hang hold up those behind them for 25/4 of it, and nobody else's.
const (
	maxLooks        = 16              // at once
	maxAccountLooks = 4               // at once at domains of one account
	adoptEvery      = 3 * time.Second // is seen what domains there are: what changes more often is not looked at more often
	spread          = 5 * time.Second // over which the first looks after a start are spread
	retryAfter      = time.Minute     // after a look that failed, to tell an outage from a moment's
	failures        = 2               // looks that fail one after another until a domain counts as unreachable
)

// Options are what a Watcher is made of. Accounts, Look and Every must be set.
type Options struct {
	// Accounts are those there are now: shared, not to be changed.
	Accounts func() []*account.Account
	// Look is what a domain serves, within a bounded time: Looker.Chain.
	Look func(ctx context.Context, domain string) (pins.Chain, error)
	// Every is how often a domain is looked at. Up to a tenth of it is added at random.
	Every   time.Duration
	Webhook *Webhook              // who is told; nil: nobody
	Told    string                // file that keeps over a restart what it was told; empty: that is forgotten
	Now     func() time.Time      // nil: time.Now
	Rand    func() float64        // in [0, 1); nil: math/rand
	Log     *slog.Logger          // nil: nowhere
	Metrics prometheus.Registerer // nil: nothing is registered
}

// Watcher is the monitor. It is safe for concurrent use.
type Watcher struct {
	o       Options
	metrics *metrics
	sender  *sender       // nil: nobody is told
	freed   chan struct{} // holds something when a look has ended since Run looked last
	unsaved atomic.Bool   // Options.Told could not be written the last time

	mu       sync.Mutex // guards the fields below, and what watched points to
	watched  map[key]*watched
	adopted  time.Time                  // when the accounts were asked for last
	under    int                        // looks under way
	recalled map[string]map[string]told // before the start, by account and domain
}

// key names a domain of an account.
type key struct{ account, domain string }

// New makes a Watcher. It looks at nothing until Run.
func New(o Options) (*Watcher, error) {
	if o.Accounts == nil || o.Look == nil || o.Every <= 0 {
		return nil, errors.New("pinwatch: Options.Accounts, Look and Every are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{o: o, freed: make(chan struct{}, 1), watched: map[key]*watched{}}
	var err error
	if w.metrics, err = newMetrics(w); err != nil {
		return nil, err
	}
	if o.Webhook != nil {
		w.sender = newSender(o.Webhook, o.Log, w.metrics.webhooks)
		w.sender.done = w.sent
	}
	return w, nil
}

// Run looks at the domains until ctx ends: at each at its time, and soon at one that is new or has other pins. It
// returns when all that it has begun has ended, which what is to be told then may hold up for lastTime. It is called
// once.
func (w *Watcher) Run(ctx context.Context) {
	var begun, sending sync.WaitGroup
	defer sending.Wait()
	if w.sender != nil {
		w.recall()
		sending.Go(func() { w.sender.run(ctx) })
		defer w.sender.close()
	}
	defer begun.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.freed:
		}
		now := w.o.Now()
		w.adopt(now)
		for _, x := range w.begin(now) {
			begun.Go(func() { w.look(ctx, x) })
		}
		timer.Reset(w.pause(w.o.Now()))
	}
}

// adopt takes up the domains there are now, and forgets those that are gone.
func (w *Watcher) adopt(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	started := !w.adopted.IsZero()
	if started && now.Sub(w.adopted) < adoptEvery && !now.Before(w.adopted) {
		return
	}
	accounts := w.o.Accounts()
	if len(accounts) == 0 && !started {
		return // they have not been read yet
	}
	w.adopted = now
	there := map[key]bool{}
	for _, a := range accounts {
		for _, d := range a.Domains {
			if demonstration(a, d) {
				continue
			}
			k := key{a.Name, d.Name}
			there[k] = true
			switch x := w.watched[k]; {
			case x == nil:
				due := now
				if !started {
					due = now.Add(time.Duration(w.o.Rand() * float64(min(spread, w.o.Every))))
				}
				w.watched[k] = &watched{
					key: k, pins: d.Pins, due: due, status: attestapi.PinStatus{Domain: d.Name, State: attestapi.PinsUnknown},
					told: w.recalled[a.Name][d.Name],
				}
				delete(w.recalled[a.Name], d.Name) // added once more it is another
			case !slices.Equal(x.pins, d.Pins):
				x.pins, x.due, x.stale = d.Pins, now, true
			}
		}
	}
	for k := range w.watched {
		if !there[k] {
			delete(w.watched, k)
		}
	}
}

// begin takes places for the domains whose time has come, the longest waiting first.
func (w *Watcher) begin(now time.Time) (chosen []*watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	under := map[string]int{}
	var due []*watched
	for _, x := range w.watched {
		switch {
		case x.looking:
			under[x.account]++
		case !x.due.After(now), x.due.Sub(now) > 2*w.o.Every: // the clock was set back
			due = append(due, x)
		}
	}
	slices.SortFunc(due, func(a, b *watched) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.account, b.account), cmp.Compare(a.domain, b.domain))
	})
	for _, x := range due {
		if w.under < maxLooks && under[x.account] < maxAccountLooks {
			w.under++
			under[x.account]++
			x.looking = true
			chosen = append(chosen, x)
		}
	}
	return chosen
}

// pause is how long nothing needs to begin. What is due and has no place yet begins when a place is free.
func (w *Watcher) pause(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	pause := adoptEvery
	for _, x := range w.watched {
		if wait := x.due.Sub(now); wait > 0 && !x.looking {
			pause = min(pause, wait)
		}
	}
	return pause
}

// look looks at a domain and notes what comes of it.
func (w *Watcher) look(ctx context.Context, x *watched) {
	chain, err := w.o.Look(ctx, x.domain)
	messages, send := w.note(ctx, x, chain, err)
	for _, m := range messages {
		w.tell(ctx, m)
	}
	for _, m := range send {
		w.sender.offer(m)
	}
	select {
	case w.freed <- struct{}{}:
	default: // it holds something
	}
}

// note notes the outcome of a look, and returns what is to be logged of it and what sent.
func (w *Watcher) note(ctx context.Context, x *watched, chain pins.Chain, err error) (messages, send []attestapi.PinMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under--
	x.looking = false
	if ctx.Err() != nil || w.watched[x.key] != x {
		return nil, nil // the program ends, or the domain is gone
	}
	now := w.o.Now()
	x.due = now.Add(w.o.Every + time.Duration(w.o.Rand()*float64(w.o.Every)/10))
	var result string
	messages, result = x.take(now, chain, err)
	if x.failed > 0 && x.failed < failures {
		x.due = now.Add(min(retryAfter, w.o.Every))
	}
	w.metrics.checks.WithLabelValues(result).Inc()
	if w.sender != nil {
		send = x.toSend(now, messages)
	}
	return messages, send
}

// tell logs a message.
func (w *Watcher) tell(ctx context.Context, m attestapi.PinMessage) {
	level := slog.LevelInfo
	if m.Event == attestapi.PinsProblem || m.Event == attestapi.PinsExpiring {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("account", m.Account), slog.String("domain", m.Domain), slog.String("state", m.State), slog.String("previous", m.Previous),
	}
	if m.Leaf != "" {
		attributes = append(attributes, slog.String("leaf", m.Leaf), slog.Time("expires", m.Expires))
	}
	if m.Detail != "" {
		attributes = append(attributes, slog.String("detail", m.Detail))
	}
	w.o.Log.LogAttrs(ctx, level, "pins: "+m.Event, attributes...)
}

// Statuses is what is known of an account's domains: nothing yet of one that has not been looked at with the pins it
// has now.
func (w *Watcher) Statuses(a *account.Account) attestapi.PinStatuses {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := attestapi.PinStatuses{Monitored: true, Domains: []attestapi.PinStatus{}}
	for _, d := range a.Domains {
		s := attestapi.PinStatus{Domain: d.Name, State: attestapi.PinsUnknown}
		if x := w.watched[key{a.Name, d.Name}]; x != nil && !x.stale && slices.Equal(x.pins, d.Pins) {
			s = x.status
		}
		if demonstration(a, d) {
			s.State, s.Detail = attestapi.PinsUnpinned, "it is the demonstration domain, which is not looked at without pins"
		}
		all.Domains = append(all.Domains, s)
	}
	return all
}

// demonstration reports whether a domain is the demonstration domain, whose name is nobody's (RFC 2606 §2). With pins
// somebody has a server for it.
func demonstration(a *account.Account, d account.Domain) bool {
	return d.Name == a.DemoDomain && len(d.Pins) == 0
}
