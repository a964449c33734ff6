package gate

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/jose"
)

// Quiet is when a host has written enough lines about requests that were refused for one reason on one route, so that
// Shortcut need not tell it of more.
type Quiet struct {
	Second  *int64 // atomic: in this Unix second it wants no more lines
	Skipped *int64 // atomic: how many requests it was not told of; Shortcut raises it
}

// refusals are how requests with one kind of method are refused on one route.
type refusals struct {
	engine   *engine.Engine
	missing  *refusal // without a token
	forged   *refusal // with a token whose signature is wrong
	trials   map[string]*jose.Trial
	until    int64     // Unix second in which the trials end
	maxBytes int       // of a token
	byMethod bool      // its header fields may ask to change a request's method
	calls    bool      // some may be gRPC calls
	simple   bool      // neither
	token    string    // name of the header field
	expired  *sync.Map // memo.expired
	key      string    // first part of keys of expired
}

// refusal is all that Ask and Refuse do with a request that is refused.
type refusal struct {
	n       *int64 // to be raised by one, by atomic operations
	quiet   *int64 // Quiet.Second
	skipped *int64 // Quiet.Skipped
	until   int64  // Unix second from which something else may be found
	status  int
	body    string // empty: none
	names   []string
	values  []string // of the header fields, by place
}

// rememberRefusal notes a request that fails its check.
func (s *snapshot) rememberRefusal(r *http.Request, a *Answer, e *engine.Engine) {
	m := s.memo
	where := [3]string{r.Method, r.Host, r.RequestURI}
	_, known := m.spots.Load(where)
	if !known && atomic.AddInt64(m.refused, 1) > mostRefused {
		return
	}
	at := s.spot(r, &a.Decision, e, m.harmless.Load().(map[string]bool))
	if at == nil || at.refusals == nil || a.Reason != engine.TokenExpired {
		return
	}
	key := at.refusals.key + r.Header.Get(m.token)
	if _, known = m.expired.Load(key); !known {
		m.grow()
	}
	m.expired.Store(key, s.refusal(r.Method, &a.Decision, s.inUse(a.Key)))
}

// refusalsOf are the refusals of a route; nil: they are left to Ask.
func (s *snapshot) refusalsOf(method, route string, e *engine.Engine) *refusals {
	m := s.memo
	kind := ""
	if method == http.MethodHead || method == http.MethodPost {
		kind = method
	}
	key := kind + "\n" + route + "\n"
	if found, ok := m.refusals.Load(key); ok {
		if all := found.(*refusals); all.engine == e && m.now().Unix() < all.until {
			return all
		}
	}
	trials, until, strict := e.Trials(route)
	if !strict || s.gate.o.Quiet == nil {
		return nil
	}
	all := &refusals{engine: e, trials: trials, until: until, maxBytes: s.policy.Token.MaxBytes, byMethod: m.byMethod,
		calls: kind == http.MethodPost, token: m.token, expired: m.expired, key: key}
	all.simple = !all.byMethod && !all.calls
	d := engine.Decision{Verdict: engine.Fail, Action: engine.Reject, Reason: engine.TokenMissing, Mode: config.Enforce, Route: route}
	all.missing = s.refusal(method, &d, math.MaxInt64)
	d.Reason = engine.SignatureInvalid
	all.forged = s.refusal(method, &d, math.MaxInt64)
	m.refusals.Store(key, all)
	return all
}

// refusal is how requests of a method are refused that are decided on alike.
func (s *snapshot) refusal(method string, d *engine.Decision, until int64) *refusal {
	quiet := s.gate.o.Quiet(d.Route, d.Reason)
	a := Answer{Decision: *d, s: s}
	status := d.Reason.Status(s.policy.Respond.Status)
	body, contentType := a.content()
	no := &refusal{n: s.gate.counters.bundle(s, d), quiet: quiet.Second, skipped: quiet.Skipped, until: until, status: status}
	header := http.Header{}
	announce(header, status, contentType)
	for name, values := range header {
		no.names = append(no.names, name)
		no.values = append(no.values, values[0])
	}
	if method != http.MethodHead {
		no.body = body
	}
	return no
}
