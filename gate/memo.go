package gate

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
)

// Bounds of a memo. It has two generations of so many requests, of a few hundred bytes each: some megabytes.
const (
	mostPassed   = 4096
	maxPassedKey = 2048 // bytes of what tells requests apart
	mostHarmless = 512  // names of header fields
)

// memo remembers requests that have passed under one policy, for Pass. What is remembered of a request is all that
// a decision and Apply depend on, so that another one which agrees in it comes out alike.
type memo struct {
	token  string   // name of the header field
	exact  []string // fields whose values matter: what tokens are bound to, and Connection
	naming []string // fields that matter, or whose aliases do

	harmless atomic.Value // map[string]bool: fields that do not, and those above, which are looked at one by one

	mu         sync.Mutex // guards the fields below, and changes of harmless
	young, old map[string]*passed
}

// passed is a request that has passed.
type passed struct {
	engine                       *engine.Engine // that let it pass
	from, until                  int64          // Unix seconds in which it does
	counts                       []*int64       // to be raised by one, by atomic operations
	target, path, rawPath, query string
	token                        string  // the header field to take out; empty: none
	added                        []field // header fields to be added
}

// field is a header field.
type field struct{ name, value string }

// newMemo is nil for a policy under which header fields could be taken for each other.
func newMemo(p *config.Policy, bound map[string][]string) *memo {
	m := &memo{token: p.Token.Header, exact: []string{"Connection"}, young: map[string]*passed{}, old: map[string]*passed{}}
	known := map[string]bool{m.token: true, "Connection": true}
	add := func(name string) bool {
		if name == "" || known[name] {
			return name == "" || name != m.token
		}
		for other := range known {
			if engine.SameHeader(name, other) {
				return false
			}
		}
		known[name] = true
		m.exact = append(m.exact, name)
		return true
	}
	for _, names := range bound {
		for _, name := range names {
			if !add(name) {
				return nil
			}
		}
	}
	if bindsCookie(p) && !add("Cookie") {
		return nil
	}
	m.naming = append([]string{m.token, p.Upstream.Verdict, p.Upstream.Reason, p.Upstream.Device, "Upgrade", "Http2-Settings"}, m.exact...)
	for _, name := range m.naming[1:4] {
		if known[name] {
			return nil
		}
	}
	m.harmless.Store(known)
	return m
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
	for _, other := range m.naming {
		if engine.SameHeader(name, other) {
			return true
		}
	}
	return overridesTarget(name) || engine.OverridesMethod(name)
}

// key tells a request from all others that could come out differently; empty: it cannot be remembered.
func (m *memo) key(r *http.Request) string {
	var rest strings.Builder
	if r.Header.WriteSubset(&rest, m.harmless.Load().(map[string]bool)) != nil || rest.Len() > 0 || r.Method == "OPTIONS" || r.Trailer != nil {
		return ""
	}
	token := r.Header[m.token]
	if len(token) != 1 {
		return ""
	}
	key := r.Method + "\n" + scheme(r) + " " + r.Host + "\n" + r.RequestURI + "\n" + token[0]
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		key += "\nbody"
	}
	for _, name := range m.exact {
		switch values := r.Header[name]; len(values) {
		case 0:
			key += "\n-"
		case 1:
			key += "\n+" + values[0]
		default:
			return ""
		}
	}
	if len(key) > maxPassedKey {
		return ""
	}
	return key
}

// find is what is remembered under a key; nil: nothing.
func (m *memo) find(key string) *passed {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.young[key]
	if p == nil {
		if p = m.old[key]; p != nil {
			m.keep(key, p)
		}
	}
	return p
}

// keep remembers a request. mu is held.
func (m *memo) keep(key string, p *passed) {
	if len(m.young) >= mostPassed {
		m.old = m.young
		m.young = map[string]*passed{}
	}
	m.young[key] = p
}

// learn notes fields of a request that has passed and that have no part in that.
func (m *memo) learn(header http.Header) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.harmless.Load().(map[string]bool)
	var more []string
	for name := range header {
		if !known[name] && len(known)+len(more) < mostHarmless && !m.matters(name) {
			more = append(more, name)
		}
	}
	if len(more) == 0 {
		return
	}
	grown := map[string]bool{}
	for name := range known {
		grown[name] = true
	}
	for _, name := range more {
		grown[name] = true
	}
	m.harmless.Store(grown)
}

// remember notes a request that has passed, before Apply, if it is of the plain kind.
func (s *snapshot) remember(r *http.Request, a *Answer, e *engine.Engine) {
	d := &a.Decision
	if d.Reason != engine.OK || d.Action != engine.Forward || d.Unbound || d.Claims.Device == "" || d.Target != r.RequestURI || d.Host != r.Host {
		return
	}
	s.memo.learn(r.Header)
	key := s.memo.key(r)
	if key == "" || changesConnection(r.Header) {
		return
	}
	url := r.URL
	before := *r
	if setTarget(&before, d.Target); before.URL != url {
		return // Apply would change it
	}
	p := &passed{
		engine: e, from: s.gate.o.Now().Unix(), until: int64(d.Claims.Exp), counts: s.counted(d),
		target: d.Target, path: url.Path, rawPath: url.RawPath, query: url.RawQuery, added: s.additions(d),
	}
	if !a.keepsToken() {
		p.token = s.policy.Token.Header
	}
	for _, key := range s.keys {
		if end := key.NotAfter.Unix(); key.Name == d.Key && !key.NotAfter.IsZero() && end < p.until {
			p.until = end
		}
	}
	s.memo.mu.Lock()
	defer s.memo.mu.Unlock()
	s.memo.keep(key, p)
}

// additions are the header fields that Apply adds to a request that has passed.
func (s *snapshot) additions(d *engine.Decision) []field {
	if d.Mode != config.Enforce {
		return nil
	}
	up := s.policy.Upstream
	var added []field
	for _, one := range []field{{up.Verdict, string(d.Verdict)}, {up.Reason, string(d.Reason)}, {up.Device, d.Claims.Device}} {
		if one.name != "" && one.value != "" && isFieldValue(one.value) {
			added = append(added, one)
		}
	}
	return added
}

// changesConnection reports whether Connection says more than whether the connection stays.
func changesConnection(header http.Header) bool {
	for _, value := range header["Connection"] {
		if !strings.EqualFold(value, "keep-alive") && !strings.EqualFold(value, "close") {
			return true
		}
	}
	return false
}

// Pass is the short way for hosts that are interpreted (Options.CacheAll): it reports whether a request agrees, in
// all that a decision depends on, with one that Ask has let pass, and then it has done what Ask and Apply would. If
// not, nothing has happened, and Ask is to be called.
func (g *Gate) Pass(r *http.Request) bool {
	s := g.live.Load().(*snapshot)
	if s.memo == nil {
		return false
	}
	key := s.memo.key(r)
	if key == "" {
		return false
	}
	p := s.memo.find(key)
	if p == nil {
		return false
	}
	now := g.o.Now().Unix()
	if now < p.from || now >= p.until || p.engine != s.current() {
		return false
	}
	for _, n := range p.counts {
		atomic.AddInt64(n, 1)
	}
	p.apply(r)
	return true
}

// apply is Apply for a request that agrees with one that has passed. Calls and fields of fields are what is dear where
// this is interpreted.
func (p *passed) apply(r *http.Request) {
	u := r.URL
	if u.Path != p.path || u.RawPath != p.rawPath || u.RawQuery != p.query || u.Host != "" || u.Scheme != "" {
		setTarget(r, p.target)
	}
	header := r.Header
	if p.token != "" {
		delete(header, p.token)
	}
	for _, one := range p.added {
		header[one.name] = []string{one.value}
	}
}
