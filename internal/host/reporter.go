package host

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

const (
	markEvery  = 10 * time.Minute
	mostMarks  = 7 * 24 * 6 // a week of them
	sampleRate = 64         // of so many genuine requests the client of one is noted
)

// Reporter watches what the gate decides, for the go-live report. It keeps a week in bounded memory: counters every
// ten minutes, and the 128 most frequent clients of each hour.
type Reporter struct {
	gate   View
	now    func() time.Time
	passes atomic.Uint64

	mu    sync.Mutex // guards the fields below
	start mark
	marks []mark // the oldest first
	hours []hour // the oldest first
}

// mark is what the counters were at a moment.
type mark struct {
	at       time.Time
	counts   map[decision]int64
	bindings map[string]gate.BindingCount
}

// decision is a gate.Count without its number.
type decision struct {
	route, reason, mode, action string
}

// hour is the clients of one hour.
type hour struct {
	begin   time.Time
	without tally // requests without a token
	genuine tally // genuine ones, by sample
}

// NewReporter makes the reporter of a gate. now is the clock; nil: time.Now.
func NewReporter(g View, now func() time.Time) *Reporter {
	if now == nil {
		now = time.Now
	}
	r := &Reporter{gate: g, now: now}
	r.start = r.mark()
	return r
}

// Run takes a mark every ten minutes, until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.remember()
		}
	}
}

// remember takes a mark and forgets what is older than a week.
func (r *Reporter) remember() {
	m := r.mark()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, m)
	if len(r.marks) > mostMarks {
		r.marks = append([]mark(nil), r.marks[len(r.marks)-mostMarks:]...)
	}
}

// mark reads the counters.
func (r *Reporter) mark() mark {
	m := mark{at: r.now(), counts: map[decision]int64{}, bindings: map[string]gate.BindingCount{}}
	for _, c := range r.gate.Counters() {
		m.counts[decision{c.Route, string(c.Reason), string(c.Mode), string(c.Action)}] = c.N
	}
	for _, b := range r.gate.BindingCounts() {
		m.bindings[b.Route] = b
	}
	return m
}

// Note looks at a decision: of requests without a token it notes the client, of genuine ones the client of some.
// Hosts call it after Ask and before Apply. A nil Reporter notes nothing.
func (r *Reporter) Note(a *gate.Answer, request *http.Request) {
	if r == nil {
		return
	}
	switch a.Reason {
	case engine.OK:
		if r.passes.Add(1)%sampleRate != 1 {
			return
		}
		r.note(a, request, true, sampleRate)
	case engine.TokenMissing, engine.TokenEmpty, engine.TokenStatus:
		r.note(a, request, false, 1)
	}
}

func (r *Reporter) note(a *gate.Answer, request *http.Request, genuine bool, weight int64) {
	c := client{Route: a.Route, Family: family(request.Header.Get("User-Agent")), Version: plainWord(a.AppVersion(request), maxVersion)}
	begin := r.now().Truncate(time.Hour)
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.hours) - 1
	if last < 0 || !r.hours[last].begin.Equal(begin) {
		r.hours = append(r.hours, hour{begin, tally{}, tally{}})
		if len(r.hours) > mostMarks/6+1 {
			r.hours = append([]hour(nil), r.hours[1:]...)
		}
		last = len(r.hours) - 1
	}
	if genuine {
		r.hours[last].genuine.add(c, weight)
	} else {
		r.hours[last].without.add(c, weight)
	}
}

// since is the mark that a report of so many hours begins at: the newest that is at least as old, or the oldest there
// is; and the clients since then. 0 hours means since the gate started, or as long as marks are kept.
func (r *Reporter) since(hours float64) (begin mark, without, genuine tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin = r.start
	if hours > 0 {
		from := r.now().Add(-time.Duration(hours * float64(time.Hour)))
		for _, m := range r.marks {
			if !m.at.After(from) {
				begin = m
			}
		}
	}
	without, genuine = tally{}, tally{}
	for _, h := range r.hours {
		if h.begin.Add(time.Hour).After(begin.at) {
			without.sum(h.without)
			genuine.sum(h.genuine)
		}
	}
	return begin, without, genuine
}
