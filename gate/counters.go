package gate

import (
	"sync"
	"sync/atomic"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
)

// Count is how often one kind of decision was made since the gate started.
type Count struct {
	Route   string // empty: no route matched
	Mode    config.Mode
	Verdict engine.Verdict
	Reason  engine.Reason
	Action  engine.Action
	N       int64
}

// BindingCount is how many genuine requests a route has had, and what their tokens were bound to.
type BindingCount struct {
	Route   string // empty: no route matched
	Passes  int64
	WithPay int64 // with a pay claim, whether or not the route asks for one
	Unbound int64 // without, accepted by a bound route as its missing_pay allows
}

// The counters of a route are one array: by reason, then mode, then action. The verdict follows from
// the reason.
var (
	countModes   = [...]config.Mode{config.Enforce, config.Log, config.Bypass}
	countActions = [...]engine.Action{engine.Forward, engine.Reject}
)

const kinds = len(countModes) * len(countActions) // for each reason

// counters live as long as a gate or any of its kin; policies come and go.
type counters struct {
	reasons []engine.Reason
	index   map[engine.Reason]int

	mu      sync.Mutex // guards the fields below, and uses of keys
	routes  map[string]*routeCounts
	order   []string
	keys    map[int]map[string]*keyUse // those in force, by gate; not by *Gate, a type that contains itself: Yaegi v0.16.1 cannot tell such map keys apart
	gates   int                        // that have been given a number
	bundles map[string]*bundle         // of interpreted gates
}

// routeCounts are the counters of one route, changed by atomic operations only.
type routeCounts struct {
	decisions []int64
	bound     []int64 // passes whose token had a pay claim, passes in all, and those accepted without as missing_pay allows
}

// The places of routeCounts.bound.
const (
	withPay = iota
	passes
	unbound
	bounds
)

func newCounters() *counters {
	c := &counters{reasons: engine.Reasons(), index: map[engine.Reason]int{}, routes: map[string]*routeCounts{}, keys: map[int]map[string]*keyUse{}, bundles: map[string]*bundle{}}
	for i, reason := range c.reasons {
		c.index[reason] = i
	}
	return c
}

// forRoutes are the counters of a policy's routes and of requests that match none. Routes of the same
// name go on counting where an earlier policy left off.
func (c *counters) forRoutes(routes []config.Route) map[string]*routeCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]*routeCounts{"": c.route("")}
	for _, route := range routes {
		found[route.Name] = c.route(route.Name)
	}
	return found
}

// route is the counters of one name. mu is held.
func (c *counters) route(name string) *routeCounts {
	if counts, ok := c.routes[name]; ok {
		return counts
	}
	counts := &routeCounts{decisions: make([]int64, len(c.reasons)*kinds), bound: make([]int64, bounds)}
	c.routes[name] = counts
	c.order = append(c.order, name)
	return counts
}

// count notes a decision.
func (s *snapshot) count(d *engine.Decision) {
	counts, ok := s.counts[d.Route]
	if !ok {
		return
	}
	atomic.AddInt64(&counts.decisions[s.gate.counters.place(d)], 1)
	if d.Key == "" {
		if d.Reason == engine.KeyUnknown && s.early {
			atomic.StoreInt32(&s.gate.unknownKid, 1)
		}
		return
	}
	if use := s.uses[d.Key]; use != nil && d.Reason != engine.TokenExpired {
		atomic.AddInt64(&use.n[0], 1)
	}
	if d.Verdict != engine.Pass {
		return
	}
	atomic.AddInt64(&counts.bound[passes], 1)
	if d.Claims.Pay != "" {
		atomic.AddInt64(&counts.bound[withPay], 1)
	}
	if d.Unbound {
		atomic.AddInt64(&counts.bound[unbound], 1)
	}
}

// bundle is one number that stands for several counters, so that a pass need raise but one.
type bundle struct {
	n    []int64  // one, changed by atomic operations only
	into []*int64 // what it stands for
}

// bundle is what count raises for a decision, as one number. It may be a pass that is not unbound, or a fail for a
// reason that tells of no use of a key.
func (c *counters) bundle(s *snapshot, d *engine.Decision) *int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := d.Route + "\x00" + string(d.Mode) + "\x00" + string(d.Reason) + "\x00" + d.Key
	if d.Claims.Pay != "" {
		key += "\x00pay"
	}
	b := c.bundles[key]
	if b == nil {
		b = &bundle{n: make([]int64, 1)}
		c.bundles[key] = b
	}
	c.unpack(b)
	b.into = s.counted(d)
	return &b.n[0]
}

// unpack adds what a bundle holds to what it stands for. mu is held.
func (c *counters) unpack(b *bundle) {
	n := atomic.SwapInt64(&b.n[0], 0)
	for _, into := range b.into {
		atomic.AddInt64(into, n)
	}
}

// settle unpacks all bundles. mu is held.
func (c *counters) settle() {
	for _, b := range c.bundles {
		c.unpack(b)
	}
}

// counted is what bundle stands for.
func (s *snapshot) counted(d *engine.Decision) []*int64 {
	counts, ok := s.counts[d.Route]
	if !ok {
		return nil
	}
	all := []*int64{&counts.decisions[s.gate.counters.place(d)]}
	if d.Verdict != engine.Pass {
		return all
	}
	all = append(all, &counts.bound[passes])
	if d.Claims.Pay != "" {
		all = append(all, &counts.bound[withPay])
	}
	if use := s.uses[d.Key]; use != nil {
		all = append(all, &use.n[0])
	}
	return all
}

// place is where a decision is counted among those of its route.
func (c *counters) place(d *engine.Decision) int {
	kind := 0
	if d.Mode == config.Log {
		kind = 2
	} else if d.Mode == config.Bypass {
		kind = 4
	}
	if d.Action != engine.Forward {
		kind++
	}
	return c.index[d.Reason]*kinds + kind
}

// Counters are the decisions made so far, those that have happened at least once.
func (g *Gate) Counters() []Count { return g.counters.list() }

func (c *counters) list() []Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	var all []Count
	for _, route := range c.order {
		for i := range c.routes[route].decisions {
			n := atomic.LoadInt64(&c.routes[route].decisions[i])
			if n == 0 {
				continue
			}
			reason, kind := c.reasons[i/kinds], i%kinds
			all = append(all, Count{
				Route: route, Mode: countModes[kind/2], Verdict: reason.Verdict(), Reason: reason, Action: countActions[kind%2], N: n,
			})
		}
	}
	return all
}

// BindingCounts are the passes of each route that had any, by what their tokens were bound to.
func (g *Gate) BindingCounts() []BindingCount { return g.counters.listBindings() }

func (c *counters) listBindings() []BindingCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	var all []BindingCount
	for _, route := range c.order {
		bound := c.routes[route].bound
		n := BindingCount{
			Route: route, Passes: atomic.LoadInt64(&bound[passes]), WithPay: atomic.LoadInt64(&bound[withPay]), Unbound: atomic.LoadInt64(&bound[unbound]),
		}
		if n.Passes > 0 {
			all = append(all, n)
		}
	}
	return all
}
