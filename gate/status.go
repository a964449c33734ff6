package gate

import (
	"sort"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
)

// Status is what an operator may see of a gate. It holds no secrets.
type Status struct {
	Name        string           // of the gate
	Now         time.Time        // the gate's clock at the moment of asking
	Mode        config.Mode      // in force for requests that no route matches
	Routes      []RouteStatus    // in the policy's order, and last what holds for requests that none matches
	Keys        []KeyStatus      // in the policy's order; a set has one entry for each key
	Sources     []SourceStatus   // behind URLs, by name
	Generation  int              // rises with every policy or set of keys taken into force
	Loaded      time.Time        // when the policy in force was taken into force
	Failing     bool             // the last refresh failed, and the policy in force is an older one
	Problems    []config.Problem // what the last refresh found, warnings included
	Local       config.Control   // the local control document; it may have ended
	Remote      config.Control   // the remote one; it may have ended
	File        string           // the path of the local control document; empty: none
	FileProblem string           // what keeps the local control document from being put into force; empty: nothing
	KeepFailure string           // what kept fetched documents from being kept for the next run; empty: nothing
}

// RouteStatus is what a route does now.
type RouteStatus struct {
	Name    string      // empty: requests that no route matches
	Exempt  bool        // check: none
	Mode    config.Mode // in force
	Rollout int         // in force, percent of devices enforced
	Own     config.Mode // the policy's
	Says    string      // whose Mode and Rollout are: policy, local or remote
}

// KeyStatus is what may be shown of a key.
type KeyStatus struct {
	Name      string // of a set's member: set/kid
	Kid       string // empty: tokens may name any
	Alg       string
	Usable    bool      // inside its window at the time of asking
	NotBefore time.Time // zero: open
	NotAfter  time.Time // zero: open
	Loaded    time.Time // since when what it refers to is in force as it is
	Tokens    int64     // that it has opened since the gate started; expired ones do not count
	PerMinute int64     // those of the last minute
	LastUse   time.Time // to about five seconds; zero: never

	key jose.Key
}

// Status describes the gate at this moment.
func (g *Gate) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.snapshot()
	now := g.o.Now()
	status := Status{
		Name: s.policy.Name, Now: now, File: s.policy.Control.File, Generation: g.generation, Loaded: g.loaded, Failing: g.failing,
		Problems: append([]config.Problem(nil), g.problems...), Local: g.control[Local], Remote: g.control[Remote],
		FileProblem: g.file.problem, KeepFailure: g.keepFailure(), Routes: s.routes(g.control, now),
	}
	status.Mode = status.Routes[len(status.Routes)-1].Mode
	for _, key := range s.keys {
		key.Usable = key.key.Usable(now.Unix())
		g.counters.describe(s.uses[key.Name], &key, now)
		status.Keys = append(status.Keys, key)
	}
	for _, r := range g.remotes {
		status.Sources = append(status.Sources, r.status)
	}
	sort.Slice(status.Sources, func(i, j int) bool { return status.Sources[i].Name < status.Sources[j].Name })
	return status
}

// routes are what each route does, and last what becomes of requests that none matches.
func (s *snapshot) routes(control [2]config.Control, now time.Time) []RouteStatus {
	says := "policy"
	c := config.Control{}
	for slot, name := range [...]string{"local", "remote"} {
		if one := control[slot].At(now); !one.Empty() {
			says = name
			c = allowed(one, &s.policy)
			break
		}
	}
	var all []RouteStatus
	for _, route := range append(append([]config.Route(nil), s.policy.Routes...), config.Route{Rule: s.policy.Default}) {
		one := RouteStatus{Name: route.Name, Exempt: route.Exempt, Own: route.Mode, Mode: route.Mode, Rollout: route.Rollout, Says: "policy"}
		if !route.Exempt {
			one.Mode = c.Effective(route.Name, route.Mode)
			one.Rollout = c.EffectiveRollout(route.Name, route.Rollout)
		}
		if one.Mode != route.Mode || one.Rollout != route.Rollout {
			one.Says = says
		}
		all = append(all, one)
	}
	return all
}

// Ready reports whether the gate can pass genuine requests: a key is inside its window.
func (g *Gate) Ready() bool { return g.snapshot().engine.UsableKeys() > 0 }
