// Package engine decides. It compiles a policy and its keys into an Engine, and the Engine answers
// each Request with a Decision. All hosts ask the same engine.
//
// It owns the order of checks, the canonical reading of targets and hosts, routes, binding and claim
// rules. It does no I/O, takes no locks on the hot path, and panics on no input.
//
// Start reading at [Engine.Check], which shows the order of checks.
package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
)

// Options are what an engine takes from its surroundings.
type Options struct {
	Now      func() time.Time // the clock; nil: time.Now
	Cache    Cache            // remembers tokens that were dear to open; nil: none. Must be new and used by this engine alone
	CacheAll bool             // remember cheap tokens too, for an interpreted engine
}

// Cache remembers opened tokens. It must be bounded and safe for concurrent use.
type Cache interface {
	Get(key string) (any, bool)
	Add(key string, value any)
}

// Engine decides with one policy and one set of keys. It is immutable and safe for concurrent use.
type Engine struct {
	rules     []rule        // one for each route, then the default
	modes     []config.Mode // in force, by rule
	rollouts  []int         // percent of devices enforced, in force, by rule
	allBypass bool          // every check is bypassed

	header    string // canonical name of the token header
	scheme    string
	leeway    time.Duration
	maxBytes  int
	preflight bool // preflights are exempt
	targets   config.Targets
	routes    routes
	places    *places // of an interpreted engine; nil: none

	now      func() time.Time
	cache    Cache
	cacheAll bool
}

// rule is a config.Rule made ready.
type rule struct {
	name     string // of the route; empty: the default
	exempt   bool
	accept   jose.Accept
	ring     *jose.Ring
	ringID   string // tells this ring's cache entries from another's
	binding  binding
	audience string
	denyAnno map[string]bool
	denyIss  map[string]bool
	allowIss map[string]bool // nil: all
}

// Compile makes an engine from a policy that config.Decode has returned without errors and the keys it
// names. Keys that the policy names but that are missing, and rules that no key can serve, are problems.
func Compile(p config.Policy, keys []jose.Key, o Options) (*Engine, []config.Problem) {
	e := &Engine{
		header: p.Token.Header, scheme: p.Token.Scheme, leeway: p.Token.Leeway, maxBytes: p.Token.MaxBytes,
		preflight: p.Preflight != config.PreflightCheck, targets: p.Targets,
		now: o.Now, cache: o.Cache, cacheAll: o.CacheAll,
	}
	if e.cacheAll {
		e.places = newPlaces()
	}
	if e.now == nil {
		e.now = time.Now
	}
	var problems []config.Problem
	rings := map[string]*jose.Ring{}
	add := func(path, name string, from config.Rule) {
		r, problem := compileRule(name, from, keys, rings, awaited(p.Keys, from.Keys))
		if problem != "" {
			problems = append(problems, config.Problem{Path: path, Text: problem})
		}
		e.rules = append(e.rules, r)
		e.modes = append(e.modes, from.Mode)
		e.rollouts = append(e.rollouts, from.Rollout)
	}
	for i, route := range p.Routes {
		add(fmt.Sprintf("routes[%d]", i), route.Name, route.Rule)
	}
	add("keys", "", p.Default)
	if len(problems) > 0 {
		return nil, problems
	}
	e.routes = newRoutes(p.Routes, p.Targets.FoldCase)
	e.allBypass = allBypass(e.rules, e.modes)
	return e, nil
}

// compileRule makes a rule ready. awaited: some of its keys come from elsewhere, so that it may have none yet.
func compileRule(name string, from config.Rule, keys []jose.Key, rings map[string]*jose.Ring, awaited bool) (rule, string) {
	r := rule{
		name: name, exempt: from.Exempt, audience: from.Audience,
		accept:  jose.Accept{JWS: from.Format != config.JWE, JWE: from.Format == config.JWE || from.Format == config.AnyFormat},
		binding: newBinding(from.Binding), ringID: strings.Join(from.Keys, "\x00"),
		denyAnno: set(from.DenyAnnotations), denyIss: set(from.DenyIssuers), allowIss: set(from.AllowIssuers),
	}
	if r.exempt {
		return r, ""
	}
	if r.ring = rings[r.ringID]; r.ring != nil {
		return r, ""
	}
	chosen := choose(keys, from.Keys)
	if len(chosen) == 0 && !awaited {
		return r, "no key is left to check tokens with; every token would be refused"
	}
	ring, err := jose.NewRing(chosen)
	if err != nil {
		return r, err.Error()
	}
	r.ring = ring
	rings[r.ringID] = ring
	return r, ""
}

// awaited reports whether one of the keys listed, any if none is, is fetched from a URL.
func awaited(keys []config.Key, names []string) bool {
	listed := set(names)
	for _, k := range keys {
		if k.Remote() != "" && (listed == nil || listed[k.Name]) {
			return true
		}
	}
	return false
}

// choose are the keys whose names are listed, all of them if none is.
func choose(keys []jose.Key, names []string) []jose.Key {
	if len(names) == 0 {
		return keys
	}
	listed := set(names)
	var chosen []jose.Key
	for _, k := range keys {
		if listed[k.Set()] {
			chosen = append(chosen, k)
		}
	}
	return chosen
}

// set is nil for an empty list.
func set(list []string) map[string]bool {
	if len(list) == 0 {
		return nil
	}
	members := map[string]bool{}
	for _, member := range list {
		members[member] = true
	}
	return members
}

// With is e under a control document: the same checks in other modes and rollouts. Exempt rules stay as they are.
// The caller judges until.
func (e *Engine) With(c config.Control) *Engine {
	changed := *e
	changed.modes = make([]config.Mode, len(e.modes))
	changed.rollouts = make([]int, len(e.rollouts))
	for i, own := range e.modes {
		changed.modes[i], changed.rollouts[i] = own, e.rollouts[i]
		if !e.rules[i].exempt {
			changed.modes[i] = c.Effective(e.rules[i].name, own)
			changed.rollouts[i] = c.EffectiveRollout(e.rules[i].name, e.rollouts[i])
		}
	}
	changed.allBypass = allBypass(e.rules, changed.modes)
	return &changed
}

// allBypass reports whether no request at all would be checked.
func allBypass(rules []rule, modes []config.Mode) bool {
	for i := range rules {
		if !rules[i].exempt && modes[i] != config.Bypass {
			return false
		}
	}
	return true
}

// UsableKeys is how many keys are inside their window now, over all rules: 0 means that every token
// would be refused.
func (e *Engine) UsableKeys() int {
	most := 0
	now := e.now().Unix()
	for i := range e.rules {
		if e.rules[i].ring == nil {
			continue
		}
		if n := e.rules[i].ring.Usable(now); n > most {
			most = n
		}
	}
	return most
}
