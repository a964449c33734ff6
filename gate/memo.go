package gate

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
)

// Bounds of a memo: some megabytes.
const (
	mostPassed   = 8192
	maxPassed    = 4096 // bytes of the header fields that matter
	mostHarmless = 512  // names of header fields
)

// memo remembers requests that have passed under one policy and control, for Pass. What is remembered of a request is
// all that a decision and Apply depend on, so that another one which agrees in it comes out alike.
type memo struct {
	token    string          // name of the header field
	bound    map[string]bool // names of header fields that some route binds tokens to; false: they mean more than that
	matter   []string        // names of header fields that matter, or whose aliases do
	harmless atomic.Value    // map[string]bool: names of header fields that do not
	second   int64           // atomic: the Unix second in which Ask was last called

	known sync.Map // *passed, by passedKey
	once  sync.Map // true, by passedKey: requests that have passed once
	size  int64    // atomic: entries made in both

	learning sync.Mutex // held by whoever changes harmless
}

// passed is a request that has passed.
type passed struct {
	engine *engine.Engine // that let it pass
	until  int64          // Unix second in which it no longer does
	target string         // of the request, which is its URL, too
	n      *int64         // to be raised by one, by atomic operations
	token  string         // the header field to take out; empty: none
	added  []field        // header fields to be added
}

// field is a header field.
type field struct{ name, value string }

// newMemo is the memo for a policy.
func newMemo(p *config.Policy, bound map[string][]string) *memo {
	m := &memo{token: p.Token.Header, bound: map[string]bool{}}
	m.matter = []string{p.Token.Header, p.Upstream.Verdict, p.Upstream.Reason, p.Upstream.Device, "Connection", "Upgrade", "Http2-Settings", "Trailer"}
	for _, names := range bound {
		for _, name := range names {
			m.bound[name] = !m.matters(name)
		}
	}
	for name := range m.bound {
		m.matter = append(m.matter, name)
	}
	if bindsCookie(p) {
		m.matter = append(m.matter, "Cookie")
	}
	m.harmless.Store(map[string]bool{})
	return m
}

// empty is a memo for the same policy that has forgotten all requests.
func (m *memo) empty() *memo {
	next := &memo{token: m.token, bound: m.bound, matter: m.matter}
	next.harmless.Store(m.harmless.Load())
	return next
}

// bindsCookie reports whether a rule binds tokens to a cookie.
func bindsCookie(p *config.Policy) bool {
	rules := []config.Rule{p.Default}
	for _, route := range p.Routes {
		rules = append(rules, route.Rule)
	}
	for _, rule := range rules {
		for _, from := range rule.Binding.From {
			if from.Kind == "cookie" {
				return true
			}
		}
	}
	return false
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

// learn notes header fields of a request that has passed and that have no part in that. It returns all that are known.
func (m *memo) learn(header http.Header) map[string]bool {
	m.learning.Lock()
	defer m.learning.Unlock()
	known := m.harmless.Load().(map[string]bool)
	var more []string
	for name := range header {
		if !known[name] && len(known)+len(more) < mostHarmless && !m.matters(name) {
			more = append(more, name)
		}
	}
	if len(more) == 0 {
		return known
	}
	grown := map[string]bool{}
	for name := range known {
		grown[name] = true
	}
	for _, name := range more {
		grown[name] = true
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

// passedKey tells a request from all others that could come out differently. matter are its header fields that
// matter, as http.Header.WriteSubset writes them: it trims values, so that the token stands there as it came, too.
func passedKey(r *http.Request, token, matter string) string {
	return strings.Join([]string{r.Method, r.Host, r.RequestURI, r.Header.Get(token), matter}, "\n")
}

// looked notes that Ask was called in this second. Whatever was remembered before the clock was set back is forgotten.
func (s *snapshot) looked() {
	now := s.gate.o.Now().Unix()
	if now < atomic.SwapInt64(&s.memo.second, now) {
		s.memo.forget()
	}
}

// forget forgets all requests.
func (m *memo) forget() {
	for _, all := range []*sync.Map{&m.known, &m.once} {
		forgotten := all
		forgotten.Range(func(key, _ any) bool {
			forgotten.Delete(key)
			return true
		})
	}
	atomic.StoreInt64(&m.size, 0)
}

// remember notes a request that has passed, before Apply. When it passes for the second time, Pass will know it: most
// requests never come again, and are not worth the trouble.
func (s *snapshot) remember(r *http.Request, a *Answer, e *engine.Engine) {
	d := &a.Decision
	if d.Unbound || d.Claims.Device == "" || d.Target != r.RequestURI || d.Target != r.URL.String() || d.Host != r.Host {
		return
	}
	harmless := s.memo.learn(r.Header)
	var matter strings.Builder
	if r.Header.WriteSubset(&matter, harmless) != nil || matter.Len() > maxPassed {
		return
	}
	if atomic.AddInt64(&s.memo.size, 1) > mostPassed {
		s.memo.forget()
	}
	key := passedKey(r, s.memo.token, matter.String())
	if _, again := s.memo.once.LoadOrStore(key, true); again && s.plain(r, d.Route, harmless) {
		s.memo.known.Store(key, s.passed(d, e, a.keepsToken()))
	}
}

// passed is what is remembered of a request of the plain kind that has passed.
func (s *snapshot) passed(d *engine.Decision, e *engine.Engine, keepsToken bool) *passed {
	p := &passed{engine: e, until: s.until(d), target: d.Target, n: s.gate.counters.bundle(s, d), added: s.additions(d)}
	if !keepsToken {
		p.token = s.memo.token
	}
	return p
}

// until is when a decision that a token is genuine ends for certain, in Unix seconds.
func (s *snapshot) until(d *engine.Decision) int64 {
	until := int64(d.Claims.Exp)
	for _, key := range s.keys {
		if end := key.NotAfter.Unix(); key.Name == d.Key && !key.NotAfter.IsZero() && end < until {
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

// Pass is the short way for hosts that are interpreted (Options.CacheAll): it reports whether a request agrees, in
// all that a decision depends on, with one that Ask has let pass, and then it has done what Ask and Apply would. If
// not, nothing has happened, and Ask is to be called. That is so at least once a second, so that a host may look after
// what is due when it calls Ask.
//
// Where it is interpreted every step costs, above all calls of other interpreted functions: it is one function that has
// compiled ones do the work.
func (g *Gate) Pass(r *http.Request) bool {
	s := g.live.Load().(*snapshot)
	m := s.memo
	if m == nil {
		return false
	}
	var matter strings.Builder
	_ = r.Header.WriteSubset(&matter, m.harmless.Load().(map[string]bool)) // a Builder takes everything
	found, ok := m.known.Load(strings.Join([]string{r.Method, r.Host, r.RequestURI, r.Header.Get(m.token), matter.String()}, "\n"))
	if !ok {
		return false
	}
	p := found.(*passed)
	now := g.o.Now().Unix()
	if now >= p.until || now != atomic.LoadInt64(&m.second) {
		return false
	}
	if s.stages != nil && p.engine != s.current() {
		return false
	}
	atomic.AddInt64(p.n, 1)
	if r.URL.String() != p.target {
		setTarget(r, p.target)
	}
	if p.token != "" {
		delete(r.Header, p.token)
	}
	for _, one := range p.added {
		r.Header[one.name] = []string{one.value}
	}
	return true
}
