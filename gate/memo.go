package gate

import (
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
)

// Bounds of a memo: some megabytes.
const (
	mostRemembered = 8192
	mostRefused    = 1024 // spots that are remembered for requests that were refused: those are an attacker's to choose
	maxRemembered  = 4096 // bytes of the header fields that matter
	maxSpot        = 1024 // bytes of method, host and target
	mostHarmless   = 512  // names of header fields
)

// memo remembers under one policy and control what Shortcut goes by: where requests go, what is known of tokens, and
// how requests are refused. What is remembered is all that a decision, Apply and Refuse depend on, so that another
// request which agrees in it comes out alike.
//
// Pointers lead to all that is big: an interpreter makes room for what a function selects with every call.
type memo struct {
	token    string          // name of the header field
	bound    map[string]bool // names of header fields that some route binds tokens to; false: they mean more than that
	matter   []string        // names of header fields that matter, or whose aliases do
	byMethod bool            // some route is chosen by method, which header fields may ask to change
	byTarget map[string]bool // names of routes that bind tokens to a query parameter
	now      func() time.Time
	harmless atomic.Value // map[string]bool: names of header fields that do not matter, and the token's; false: it does

	spots    *sync.Map // *spot, by method, host and target
	known    *sync.Map // *passed, by spot.key, token and the header fields that matter
	once     *sync.Map // true, by the same: requests that have passed once
	expired  *sync.Map // *refusal, by refusals.key and token
	refusals *sync.Map // *refusals, by route and kind of method
	size     *int64    // atomic: entries made in the first four
	refused  *int64    // atomic: spots made for requests that were refused

	learning *sync.Mutex // held by whoever changes harmless
}

// passed is a request that has passed.
type passed struct {
	until   int64   // Unix second in which it no longer does
	n       *int64  // to be raised by one, by atomic operations
	token   string  // name of the header field
	compact string  // what stands in it
	keeps   bool    // it stays
	added   []field // header fields to be added
}

// field is a header field.
type field struct{ name, value string }

// spot is where requests of one method, host and target go that are forwarded, if they are, with that host and target.
type spot struct {
	engine   *engine.Engine
	until    int64           // Unix second from which another engine may judge, or with other keys
	key      string          // route, and target where tokens are bound to a part of it
	harmless map[string]bool // memo.harmless when the spot was made
	refusals *refusals       // nil: no request is refused the short way
}

// newMemo is the memo for a policy.
func newMemo(p *config.Policy, bound map[string][]string, now func() time.Time) *memo {
	m := &memo{token: p.Token.Header, bound: map[string]bool{}, byTarget: map[string]bool{}, now: now}
	m.matter = []string{p.Token.Header, p.Upstream.Verdict, p.Upstream.Reason, p.Upstream.Device, "Connection", "Upgrade", "Http2-Settings", "Trailer"}
	for _, names := range bound {
		for _, name := range names {
			m.bound[name] = !m.matters(name)
		}
	}
	for name := range m.bound {
		m.matter = append(m.matter, name)
	}
	for _, kind := range m.kinds(p) {
		if kind == "cookie" {
			m.matter = append(m.matter, "Cookie")
		}
	}
	m.harmless.Store(map[string]bool{m.token: true})
	return m.empty()
}

// kinds notes what rules look at besides header fields, and returns the kinds of what they bind tokens to.
func (m *memo) kinds(p *config.Policy) []string {
	rules := []config.Rule{p.Default}
	names := []string{""}
	for _, route := range p.Routes {
		rules = append(rules, route.Rule)
		names = append(names, route.Name)
		m.byMethod = m.byMethod || len(route.Methods) > 0
	}
	var kinds []string
	for i, rule := range rules {
		for _, from := range rule.Binding.From {
			kinds = append(kinds, from.Kind)
			if from.Kind == "query" {
				m.byTarget[names[i]] = true
			}
		}
	}
	return kinds
}

// empty is a memo for the same policy that has forgotten all requests.
func (m *memo) empty() *memo {
	next := &memo{token: m.token, bound: m.bound, matter: m.matter, byMethod: m.byMethod, byTarget: m.byTarget, now: m.now}
	next.harmless.Store(m.harmless.Load())
	next.size = new(int64)
	next.refused = new(int64)
	next.spots = &sync.Map{}
	next.known = &sync.Map{}
	next.once = &sync.Map{}
	next.expired = &sync.Map{}
	next.refusals = &sync.Map{}
	next.learning = &sync.Mutex{}
	return next
}

// matters reports whether a header field of that name may have a part in a decision, or is changed by Apply.
func (m *memo) matters(name string) bool {
	for _, other := range m.matter {
		if engine.SameHeader(name, other) {
			return true
		}
	}
	return overridesTarget(name) || engine.OverridesMethod(name)
}

// learn notes which header fields of a request that has passed have no part in that. It returns all that are known.
func (m *memo) learn(header http.Header) map[string]bool {
	m.learning.Lock()
	defer m.learning.Unlock()
	known := m.harmless.Load().(map[string]bool)
	var more []string
	for name := range header {
		if _, ok := known[name]; !ok && len(known)+len(more) < mostHarmless {
			more = append(more, name)
		}
	}
	if len(more) == 0 {
		return known
	}
	grown := map[string]bool{}
	for name, harmless := range known {
		grown[name] = harmless
	}
	for _, name := range more {
		grown[name] = !m.matters(name)
	}
	m.harmless.Store(grown)
	return grown
}

// plain reports whether all header fields but harmless ones are those that a request of the plain kind may have: the one
// token, what tokens are bound to, and a Connection that says no more than whether it stays.
func (s *snapshot) plain(r *http.Request, route string, harmless map[string]bool) bool {
	for name, values := range r.Header {
		if harmless[name] || name == s.memo.token || name == "Cookie" {
			continue
		}
		if name == "Connection" {
			if len(values) != 1 || !strings.EqualFold(values[0], "keep-alive") && !strings.EqualFold(values[0], "close") {
				return false
			}
			continue
		}
		if !s.memo.bound[name] || isAlias(name, s.bound[route]) {
			return false
		}
	}
	return r.Method != "OPTIONS" && r.Trailer == nil && len(r.Header[s.memo.token]) == 1
}

// front is what the short way needs first of a memo, in a second.
func (m *memo) front(second int64) *front {
	return &front{second: second, now: m.now, token: m.token, spots: m.spots, known: m.known}
}

// looked notes that Ask was called in this second. Whatever was remembered before the clock was set back is forgotten.
func (s *snapshot) looked() {
	now := s.gate.o.Now().Unix()
	before := s.gate.front.Load().(*front)
	if before.spots != s.memo.spots || before.second == now {
		return // there is another policy by now, or nothing to note
	}
	if now < before.second {
		s.memo.forget()
	}
	s.gate.front.CompareAndSwap(before, s.memo.front(now))
}

// forget forgets all requests.
func (m *memo) forget() {
	for _, all := range []*sync.Map{m.spots, m.known, m.once, m.expired, m.refusals} {
		forgotten := all
		forgotten.Range(func(key, _ any) bool {
			forgotten.Delete(key)
			return true
		})
	}
	atomic.StoreInt64(m.size, 0)
	atomic.StoreInt64(m.refused, 0)
}

// grow makes room for one more entry.
func (m *memo) grow() {
	if atomic.AddInt64(m.size, 1) > mostRemembered {
		m.forget()
	}
}

// remember notes a request that was decided on, before Apply and Refuse. When it passes for the second time, Shortcut
// will know it: most requests never come again, and are not worth the trouble.
func (s *snapshot) remember(r *http.Request, a *Answer, e *engine.Engine) {
	d := &a.Decision
	if d.Verdict == engine.None || d.Target != r.RequestURI || d.Host != r.Host {
		return
	}
	if d.Reason != engine.OK {
		s.rememberRefusal(r, a, e)
		return
	}
	if d.Unbound || d.Claims.Device == "" {
		return
	}
	m := s.memo
	harmless := m.learn(r.Header)
	at := s.spot(r, d, e, harmless)
	var matter strings.Builder
	if at == nil || !s.plain(r, d.Route, harmless) || r.Header.WriteSubset(&matter, harmless) != nil || matter.Len() > maxRemembered {
		return
	}
	compact := r.Header.Get(m.token)
	key := at.key + compact + "\n" + matter.String()
	m.grow()
	if _, again := m.once.LoadOrStore(key, true); again {
		m.known.Store(key, s.passed(d, at, compact, a.keepsToken()))
	}
}

// spot is where a request goes, which is remembered; nil: that depends on more than can be. It does not on header
// fields that ask for another method: the engine has found the same rule for the request's own.
func (s *snapshot) spot(r *http.Request, d *engine.Decision, e *engine.Engine, harmless map[string]bool) *spot {
	m := s.memo
	now := m.now()
	where := r.Method + "\n" + r.Host + "\n" + r.RequestURI
	if found, ok := m.spots.Load(where); ok {
		at := found.(*spot)
		if at.engine == e && now.Unix() < at.until && len(at.harmless) == len(harmless) {
			return at
		}
	}
	judge, until := s.currentAt(now)
	if judge != e || r.Method == http.MethodOptions || len(where) > maxSpot {
		return nil
	}
	at := &spot{engine: e, until: until, key: d.Route + "\n", harmless: harmless}
	if m.byTarget[d.Route] {
		at.key += where + "\n"
	}
	at.refusals = s.refusalsOf(r.Method, d.Route, e)
	if at.refusals != nil && at.refusals.until < at.until {
		at.until = at.refusals.until
	}
	m.grow()
	m.spots.Store(where, at)
	return at
}

// passed is what is remembered of a request of the plain kind that has passed at a spot.
func (s *snapshot) passed(d *engine.Decision, at *spot, compact string, keepsToken bool) *passed {
	p := &passed{until: at.until, n: s.gate.counters.bundle(s, d), token: s.memo.token, compact: compact, keeps: keepsToken, added: s.additions(d)}
	for _, end := range [...]int64{int64(d.Claims.Exp), s.inUse(d.Key)} {
		if end < p.until {
			p.until = end
		}
	}
	return p
}

// inUse is when the keys of that name are no longer in use, in Unix seconds.
func (s *snapshot) inUse(name string) int64 {
	until := int64(math.MaxInt64)
	for _, key := range s.keys {
		if end := key.NotAfter.Unix(); key.Name == name && !key.NotAfter.IsZero() && end < until {
			until = end
		}
	}
	return until
}

// additions are the header fields that Apply adds to a request that has passed.
func (s *snapshot) additions(d *engine.Decision) []field {
	if d.Mode != config.Enforce {
		return nil
	}
	up := s.policy.Upstream
	var added []field
	for _, one := range []field{{up.Verdict, string(d.Verdict)}, {up.Reason, string(d.Reason)}, {up.Device, d.Claims.Device}} {
		if one.name != "" && isFieldValue(one.value) {
			added = append(added, one)
		}
	}
	return added
}
