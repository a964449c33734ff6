package gate

import (
	"sort"
	"sync"

	"github.com/approovgate/approovgate/config"
)

// Kin are the gates of one name in one process: those of several sites, each with a policy of its own, and those
// that replace each other when a server reloads its configuration. Control and counters belong to the name: each
// gate goes on with what its kin have, and what one of them is told holds for all. From outside Kin is one gate.
// The zero value is ready, and safe for concurrent use.
//
// Gates join with Options.Kin and leave with Close. Only control travels between them; what one gate's policy
// allows, in a local document without an end, is no looser for the others either (see config.Control.Stricter).
type Kin struct {
	mu       sync.Mutex // guards the fields below; a gate's mu may be held when it is taken, never the other way around
	gates    []*Gate    // in the order in which they joined
	counters *counters
	control  [2]config.Control // by slot: the newest of any gate there was
	hide     func(device string) string
}

// meet gives a new gate what its kin have.
func (k *Kin) meet(g *Gate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counters == nil {
		k.counters, k.hide = g.counters, g.hide
	}
	g.counters, g.hide, g.control = k.counters, k.hide, k.control
	g.number = g.counters.enter()
	now := g.o.Now()
	for slot := range k.control {
		g.ended[slot] = k.control[slot].At(now).Empty()
	}
}

// join makes a gate that answers one of the kin.
func (k *Kin) join(g *Gate) {
	k.mu.Lock()
	k.gates = append(k.gates, g)
	k.mu.Unlock()
	g.follow()
}

// leave takes a gate out.
func (k *Kin) leave(g *Gate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var others []*Gate
	for _, other := range k.gates {
		if other != g {
			others = append(others, other)
		}
	}
	k.gates = others
}

// note tells the kin of a document that one of them has taken into force. That gate's mu is held.
func (k *Kin) note(slot Slot, c config.Control) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.Version > k.control[slot].Version {
		k.control[slot] = c
	}
}

// newest is the newest document of a slot.
func (k *Kin) newest(slot Slot) config.Control {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.control[slot]
}

// all are the gates there are.
func (k *Kin) all() []*Gate {
	k.mu.Lock()
	defer k.mu.Unlock()
	gates := make([]*Gate, 0, len(k.gates))
	//lint:ignore S1011 Yaegi v0.16.1 finds the two slices to be of different types
	for _, g := range k.gates {
		gates = append(gates, g)
	}
	return gates
}

// hasRoute reports whether one of the kin but g has a route of that name.
func (k *Kin) hasRoute(name string, but *Gate) bool {
	for _, g := range k.all() {
		if g == but {
			continue
		}
		for _, route := range g.snapshot().policy.Routes {
			if route.Name == name {
				return true
			}
		}
	}
	return false
}

// spread has g's kin take up what g has taken into force. No gate's mu is held.
func (g *Gate) spread() {
	for _, other := range g.o.Kin.all() {
		if other != g {
			other.follow()
		}
	}
}

// follow takes newer documents of its kin into force. Nobody is told: the one that brought them has done that.
func (g *Gate) follow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := false
	for _, slot := range [...]Slot{Local, Remote} {
		c := g.o.Kin.newest(slot)
		if c.Version > g.control[slot].Version {
			g.control[slot] = c
			g.ended[slot] = c.At(g.o.Now()).Empty()
			changed = true
		}
	}
	if changed {
		next := *g.snapshot()
		g.store(&next)
	}
}

// known is what one of the kin has from the source of r, a remote of a gate that is being made; nil: nothing. It has
// keys only: when the source is asked next, and by whom, is each gate's own affair.
func (k *Kin) known(r *remote) *remote {
	for _, g := range k.all() {
		g.mu.Lock()
		have := g.known(r.kind())
		var known *remote
		if have != nil && have.url == r.url && have.judged == r.judged && have.held.remake != nil {
			known = &remote{key: have.key, progress: progress{held: have.held}}
		}
		g.mu.Unlock()
		if known != nil {
			return known
		}
	}
	return nil
}

// first is the gate that speaks for its kin; nil: there is none.
func (k *Kin) first() *Gate {
	if gates := k.all(); len(gates) > 0 {
		return gates[0]
	}
	return nil
}

// SetControl is Gate.SetControl for all of the kin. Of what a local document says, routes that any of them has
// are known.
func (k *Kin) SetControl(slot Slot, c config.Control) []config.Problem {
	g := k.first()
	if g == nil {
		return []config.Problem{{Text: "no gate is there; ask again once the configuration is loaded"}}
	}
	return g.SetControl(slot, c)
}

// Control returns the control document in a slot; the zero one if there never was any. It may have ended.
func (k *Kin) Control(slot Slot) config.Control { return k.newest(slot) }

// RefreshControl has all read their local control document again.
func (k *Kin) RefreshControl() {
	for _, g := range k.all() {
		g.RefreshControl()
	}
}

// ControlFile is the path of the first local control document that a policy in force names; empty: none.
func (k *Kin) ControlFile() string {
	for _, g := range k.all() {
		if path := g.ControlFile(); path != "" {
			return path
		}
	}
	return ""
}

// Ready reports whether there are gates, and each of them can pass genuine requests.
func (k *Kin) Ready() bool {
	gates := k.all()
	for _, g := range gates {
		if !g.Ready() {
			return false
		}
	}
	return len(gates) > 0
}

// Due reports whether Poll has something to do.
func (k *Kin) Due() bool {
	for _, g := range k.all() {
		if g.Due() {
			return true
		}
	}
	return false
}

// Counters are the decisions that all have made, those that have left included.
func (k *Kin) Counters() []Count {
	if c := k.shared(); c != nil {
		return c.list()
	}
	return nil
}

// BindingCounts are the passes of each route that had any, by what their tokens were bound to.
func (k *Kin) BindingCounts() []BindingCount {
	if c := k.shared(); c != nil {
		return c.listBindings()
	}
	return nil
}

func (k *Kin) shared() *counters {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counters
}

// Status describes the kin as one gate: the routes of each after those of the one before, keys and sources by
// name. What is wrong with one of them is wrong.
func (k *Kin) Status() Status {
	gates := k.all()
	if len(gates) == 0 {
		return Status{Local: k.newest(Local), Remote: k.newest(Remote)}
	}
	status := gates[0].Status()
	for _, g := range gates[1:] {
		status.add(g.Status())
	}
	sort.SliceStable(status.Sources, func(i, j int) bool { return status.Sources[i].Name < status.Sources[j].Name })
	return status
}

// add takes in what another gate of the same name says.
func (s *Status) add(other Status) {
	s.Routes = append(s.Routes, other.Routes...)
	s.Problems = append(s.Problems, other.Problems...)
	s.Generation += other.Generation
	s.Failing = s.Failing || other.Failing
	if other.Loaded.After(s.Loaded) {
		s.Loaded = other.Loaded
	}
	for _, text := range []struct{ have, more *string }{
		{&s.File, &other.File}, {&s.FileProblem, &other.FileProblem}, {&s.KeepFailure, &other.KeepFailure},
	} {
		if *text.have == "" {
			*text.have = *text.more
		}
	}
	for _, key := range other.Keys {
		s.addKey(key)
	}
	for _, source := range other.Sources {
		s.addSource(source)
	}
}

// addKey adds a key. Of two with one name the worse one shows.
func (s *Status) addKey(key KeyStatus) {
	for i, have := range s.Keys {
		if have.Name == key.Name {
			if have.Usable && !key.Usable {
				s.Keys[i] = key
			}
			return
		}
	}
	s.Keys = append(s.Keys, key)
}

// addSource adds a source. Of two with one name the worse one shows.
func (s *Status) addSource(source SourceStatus) {
	for i, have := range s.Sources {
		if have.Name == source.Name {
			if have.Failure == "" && source.Failure != "" {
				s.Sources[i] = source
			}
			return
		}
	}
	s.Sources = append(s.Sources, source)
}
