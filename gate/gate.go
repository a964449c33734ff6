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
	"errors"
	"fmt"
	"math"
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

	// Elapsed is a clock that nobody sets, which says when sources are due; nil: the time since New.
	Elapsed func() time.Duration

	// ParseControl makes a tree of the local control document; nil: it is JSON.
	ParseControl func(text []byte) (map[string]any, []config.Problem)

	// Notify is told of changes of control and of sources that fail or recover, in their order, for the audit
	// log. It must return at once and must not call the gate; nil: nobody is told.
	Notify func(Event)

	// NewCache makes the cache of one engine, for tokens that are dear to open; nil: no cache.
	NewCache func() engine.Cache

	// CacheAll puts cheap tokens into the cache too, for interpreted gates.
	CacheAll bool

	// Quiet is when the host writes no more lines about requests that are refused on a route, empty: the default, for
	// one reason. It is asked once for each; nil: no request is refused the short way.
	Quiet func(route string, reason engine.Reason) *Quiet

	// Kin are the gates of the same name that this one shares control and counters with; nil: there are none.
	Kin *Kin
}

// Gate answers requests with the last good policy. It is safe for concurrent use.
type Gate struct {
	// These stand first, where 32-bit machines can change them by atomic operations.
	nextDue    int64 // atomic: when Poll has something to do, on the elapsed clock
	nextEarly  int64 // atomic: the same, if unknownKid is set
	unknownKid int32 // atomic: 1: a token named a key that a source may have by now

	o        Options
	live     atomic.Value // *snapshot
	front    atomic.Value // *front, of an interpreted gate
	counters *counters
	number   int                        // of this gate in counters
	hide     func(device string) string // a device id as logs may show it

	reading sync.Mutex // held by Refresh alone, also while a disk keeps it waiting

	mu         sync.Mutex // guards the fields below, and the order of stores to live; nobody waits for a disk or a network with it
	name       string     // of the policy in force
	policySum  [sha256.Size]byte
	entries    entries           // the keys of the policy in force
	control    [2]config.Control // by slot
	ended      [2]bool           // by slot: its end has been noticed
	file       controlFile
	remotes    []*remote        // in the policy's order
	problems   []config.Problem // of the last refresh
	failing    bool             // the last refresh failed
	generation int              // rises with every policy or set of keys taken into force
	loaded     time.Time
	since      map[string]time.Time // when each key in force was taken into force, by name and content
	nextSample time.Duration        // when use of the keys is looked at next, on the elapsed clock
}

// snapshot is everything one request is judged with.
type snapshot struct {
	gate   *Gate
	policy config.Policy
	engine *engine.Engine // in the policy's own modes
	stages []stage        // control, the one that wins in front
	keys   []KeyStatus
	counts map[string]*routeCounts // by route name
	uses   map[string]*keyUse      // by key name
	early  bool                    // some keys come from sources that can be asked sooner
	bound  map[string][]string     // headers that tokens are bound to, by route name

	// Of an interpreted gate, else nil:
	memo     *memo           // requests that passed
	everyday map[string]bool // headers that are never stripped
}

// stage is a control document, which rules until its end unless one in front of it does.
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
	if o.Elapsed == nil {
		start := time.Now()
		o.Elapsed = func() time.Duration { return time.Since(start) }
	}
	if o.ParseControl == nil {
		o.ParseControl = ParseJSON
	}
	if o.Notify == nil {
		o.Notify = func(_ Event) {}
	}
	if o.Kin == nil {
		o.Kin = &Kin{}
	}
	g := &Gate{o: o, counters: newCounters(), hide: hideDevice(salt, o.Now), nextDue: int64(neverDue), nextEarly: int64(neverDue)}
	o.Kin.meet(g)
	problems := g.Refresh()
	if config.Failed(problems) {
		g.counters.forget(g.number)
		return nil, problems
	}
	o.Kin.join(g)
	g.spread()
	return g, problems
}

// Refresh loads the policy, its keys and the local control document again. If all is well and anything has
// changed they are taken into force at once; otherwise the last good ones stay. The problems are what was
// found, warnings included. It asks no source behind a URL: see Poll.
func (g *Gate) Refresh() []config.Problem {
	defer g.spread()
	g.reading.Lock()
	defer g.reading.Unlock()
	f := g.readFiles()
	g.mu.Lock()
	defer g.mu.Unlock()
	problems := f.problems
	if !config.Failed(problems) {
		problems = append(problems, g.takeFiles(f)...)
	}
	if g.live.Load() != nil {
		problems = append(problems, g.takeFile(f.control)...)
	}
	if failure := g.keepFailure(); failure != "" {
		problems = append(problems, config.Problem{Path: "control.cache", Text: failure, Warning: true})
	}
	g.problems = problems
	g.failing = config.Failed(problems)
	return problems
}

// files are what a refresh has read.
type files struct {
	policy   config.Policy
	problems []config.Problem
	entries  entries   // of the keys; those of remotes are still to be put in
	remotes  []*remote // that the policy names, without what is known of them
	control  fileText
}

// readFiles reads the policy and all that it refers to.
func (g *Gate) readFiles() *files {
	f := &files{}
	f.policy, f.problems = g.o.Load()
	if !config.Failed(f.problems) {
		var found []config.Problem
		f.remotes, found = g.readRemotes(&f.policy)
		f.problems = append(f.problems, found...)
		f.entries, found = readKeys(f.policy.Keys, g.o.Read)
		f.problems = append(f.problems, found...)
	}
	path := f.policy.Control.File
	if config.Failed(f.problems) && g.live.Load() != nil {
		path = g.snapshot().policy.Control.File // a policy that is broken keeps nobody from switching
	}
	f.control = g.readText(path)
	return f
}

// takeFiles puts what was read into force, if it has changed. mu is held.
func (g *Gate) takeFiles(f *files) []config.Problem {
	problems := g.equip(f.remotes)
	if config.Failed(problems) {
		return problems
	}
	for _, r := range f.remotes {
		if !r.isControl() {
			f.entries[r.keyIndex] = r.held.entry
		}
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%#v", f.policy)))
	if g.live.Load() == nil || sum != g.policySum || f.entries.sum() != g.entries.sum() {
		ready, found := g.compile(f.policy, f.entries)
		problems = append(problems, found...)
		if config.Failed(problems) {
			return problems
		}
		g.commit(f.policy, f.entries, ready)
		g.policySum = sum
	}
	g.adopt(f.remotes)
	g.restore()
	return problems
}

// compile makes the engine of a policy and its keys.
func (g *Gate) compile(policy config.Policy, all entries) (*engine.Engine, []config.Problem) {
	options := engine.Options{Now: g.o.Now, CacheAll: g.o.CacheAll}
	if g.o.NewCache != nil {
		options.Cache = g.o.NewCache()
	}
	return engine.Compile(policy, all.keys(), options)
}

// commit takes a policy, its keys and their engine into force. mu is held.
func (g *Gate) commit(policy config.Policy, all entries, ready *engine.Engine) {
	next := &snapshot{gate: g, engine: ready, counts: g.counters.forRoutes(policy.Routes), bound: boundHeaders(policy)}
	kept := make([]config.Key, 0, len(policy.Keys))
	for _, k := range policy.Keys {
		next.early = next.early || k.Remote() != ""
		k.Secret, k.PublicKey = "", "" // an inline secret must not stay where a logger could print it
		kept = append(kept, k)
	}
	policy.Keys = kept
	policy.Control.Token, policy.Control.Seal = "", ""
	next.policy = policy
	if g.o.CacheAll {
		next.memo = newMemo(&policy, next.bound, g.o.Now)
		next.findEveryday()
	}
	g.since, next.keys = all.date(g.since, g.o.Now())
	next.uses = g.counters.forKeys(g.number, next.keys)
	g.name, g.entries = policy.Name, all
	g.generation++
	g.loaded = g.o.Now()
	g.store(next)
}

// replaceEntry takes the keys of one source into force, if they are others than before. mu is held.
func (g *Gate) replaceEntry(r *remote, next entry) error {
	all := g.entries.with(r.keyIndex, next)
	if all.sum() == g.entries.sum() {
		return nil
	}
	policy := g.snapshot().policy
	ready, problems := g.compile(policy, all)
	if config.Failed(problems) {
		return errors.New(firstError(problems))
	}
	g.commit(policy, all, ready)
	g.tell(Event{Kind: KeysChanged, Source: r.field})
	return nil
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
	next.stages = stages(next.engine, &next.policy, g.control)
	if next.memo != nil {
		next.memo = next.memo.empty()
	}
	g.live.Store(next)
	if next.memo != nil {
		g.front.Store(next.memo.front(0))
	}
}

func (g *Gate) snapshot() *snapshot { return g.live.Load().(*snapshot) }

// current is the engine in force now.
func (s *snapshot) current() *engine.Engine {
	if len(s.stages) == 0 {
		return s.engine
	}
	judge, _ := s.currentAt(s.gate.o.Now())
	return judge
}

// currentAt is the engine in force at a moment, and until which Unix second it is for certain.
func (s *snapshot) currentAt(now time.Time) (*engine.Engine, int64) {
	for _, stage := range s.stages {
		if stage.until.IsZero() {
			return stage.engine, math.MaxInt64
		}
		if now.Before(stage.until) {
			return stage.engine, stage.until.Unix()
		}
	}
	return s.engine, math.MaxInt64
}

// Check decides on a request and counts the decision. Hosts on net/http use Ask.
func (g *Gate) Check(req engine.Request) engine.Decision {
	s := g.snapshot()
	d := s.current().Check(req)
	s.count(&d)
	return d
}
