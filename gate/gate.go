// Package gate is the running gate: the engine in force, the control over it, and what is counted.
//
// It owns one atomic snapshot of policy, engine and control, how a new one replaces it (Refresh,
// SetControl), Status and Counters, and in http.go the only code that enforces a decision on a
// net/http request. It starts no goroutines: hosts call Refresh.
//
// Start reading at [Gate.Ask] for a request's path and [Gate.Refresh] for a policy's.
package gate

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/source"
)

// Options are what a gate takes from its host.
type Options struct {
	// Load reads the policy; New and Refresh call it. Required.
	Load func() (config.Policy, []config.Problem)

	// Read resolves a reference to a secret, key or key set into its text and warnings; nil: source.Read.
	Read func(reference string) (text []byte, warnings []string, err error)

	// Now is the clock; nil: time.Now.
	Now func() time.Time

	// NewCache makes the cache of one engine, for tokens that are dear to open; nil: no cache.
	NewCache func() engine.Cache

	// CacheAll puts cheap tokens into the cache too, for interpreted gates.
	CacheAll bool
}

// Gate answers requests with the last good policy. It is safe for concurrent use.
type Gate struct {
	o        Options
	live     atomic.Value // *snapshot
	counters *counters
	hide     func(device string) string // a device id as logs may show it

	mu          sync.Mutex // guards the fields below, and the order of stores to live
	fingerprint [sha256.Size]byte
	control     [2]config.Control // by slot
	problems    []config.Problem  // of the last refresh
	failing     bool              // the last refresh failed
	generation  int               // rises with every policy taken into force
	loaded      time.Time
	since       map[string]time.Time // when each key in force was taken into force, by name and content
}

// snapshot is everything one request is judged with.
type snapshot struct {
	gate   *Gate
	policy config.Policy
	engine *engine.Engine // in the policy's own modes
	stages []stage        // control in force, the one that ends first in front
	keys   []KeyStatus
	counts map[string]*routeCounts // by route name
	bound  map[string][]string     // headers that tokens are bound to, by route name
}

// stage is a span of time in which a control document rules.
type stage struct {
	engine *engine.Engine
	until  time.Time // zero: endless
}

// New makes a gate from the policy that Load returns. When that has an error, there is no gate: the
// problems say why.
func New(o Options) (*Gate, []config.Problem) {
	if o.Read == nil {
		o.Read = source.Read
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	salt := make([]byte, sha256.Size)
	if _, err := rand.Read(salt); err != nil {
		return nil, []config.Problem{{Text: "no random numbers can be had from the system: " + err.Error()}}
	}
	g := &Gate{o: o, counters: newCounters(), hide: hideDevice(salt, o.Now)}
	problems := g.Refresh()
	if config.Failed(problems) {
		return nil, problems
	}
	return g, problems
}

// Refresh loads the policy and its keys again. If all is well and anything has changed they are taken
// into force at once; otherwise the last good ones stay. The problems are what the load found, warnings
// included.
func (g *Gate) Refresh() []config.Problem {
	g.mu.Lock()
	defer g.mu.Unlock()
	problems := g.refresh()
	g.problems, g.failing = problems, config.Failed(problems)
	return problems
}

// refresh is Refresh with mu held.
func (g *Gate) refresh() []config.Problem {
	policy, problems := g.o.Load()
	if config.Failed(problems) {
		return problems
	}
	resolved, found := resolveKeys(policy.Keys, g.o.Read)
	problems = append(problems, found...)
	if config.Failed(problems) {
		return problems
	}
	fingerprint := sha256.Sum256([]byte(fmt.Sprintf("%#v\x00%x", policy, resolved.sum)))
	if g.live.Load() != nil && fingerprint == g.fingerprint {
		return problems
	}
	options := engine.Options{Now: g.o.Now, CacheAll: g.o.CacheAll}
	if g.o.NewCache != nil {
		options.Cache = g.o.NewCache()
	}
	ready, found := engine.Compile(policy, resolved.keys, options)
	problems = append(problems, found...)
	if config.Failed(problems) {
		return problems
	}
	g.since = resolved.date(g.since, g.o.Now())
	policy.Keys = nil // an inline secret must not stay where a logger could print it
	next := &snapshot{
		gate: g, policy: policy, engine: ready, keys: resolved.status,
		counts: g.counters.forRoutes(policy.Routes), bound: boundHeaders(policy),
	}
	g.fingerprint = fingerprint
	g.generation++
	g.loaded = g.o.Now()
	g.store(next)
	return problems
}

// boundHeaders are the headers that each route binds tokens to.
func boundHeaders(p config.Policy) map[string][]string {
	bound := map[string][]string{}
	add := func(route string, b config.Binding) {
		for _, from := range b.From {
			if from.Kind == "header" {
				bound[route] = append(bound[route], from.Name)
			}
		}
	}
	add("", p.Default.Binding)
	for _, route := range p.Routes {
		add(route.Name, route.Binding)
	}
	return bound
}

// store puts a snapshot into force under the control documents. mu is held.
func (g *Gate) store(next *snapshot) {
	next.stages = stages(next.engine, &next.policy, g.control, g.o.Now())
	g.live.Store(next)
}

func (g *Gate) snapshot() *snapshot { return g.live.Load().(*snapshot) }

// current is the engine in force now.
func (s *snapshot) current() *engine.Engine {
	if len(s.stages) == 0 {
		return s.engine
	}
	now := s.gate.o.Now()
	for _, stage := range s.stages {
		if stage.until.IsZero() || now.Before(stage.until) {
			return stage.engine
		}
	}
	return s.engine
}

// Check decides on a request and counts the decision. Hosts on net/http use Ask.
func (g *Gate) Check(req engine.Request) engine.Decision {
	s := g.snapshot()
	d := s.current().Check(req)
	s.count(&d)
	return d
}
