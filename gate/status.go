package gate

import (
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/jose"
)

// Status is what an operator may see of a gate. It holds no secrets.
type Status struct {
	Name       string           // of the gate
	Mode       config.Mode      // in force for requests that no route matches
	Routes     int              // in the policy
	Keys       []KeyStatus      // in the policy's order; a key set has one entry for each key
	Generation int              // rises with every policy taken into force
	Loaded     time.Time        // when the policy in force was taken into force
	Failing    bool             // the last refresh failed, and the policy in force is an older one
	Problems   []config.Problem // what the last refresh found, warnings included
	Local      config.Control   // the local override
	Remote     config.Control   // the remote override
}

// KeyStatus is what may be shown of a key.
type KeyStatus struct {
	Name      string
	Usable    bool      // inside its window at the time of asking
	NotBefore time.Time // zero: open
	NotAfter  time.Time // zero: open
	Loaded    time.Time // since when what it refers to is in force as it is

	key jose.Key
}

// Status describes the gate at this moment.
func (g *Gate) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.snapshot()
	now := g.o.Now()
	status := Status{
		Name: s.policy.Name, Mode: s.mode(g.control, now), Routes: len(s.policy.Routes),
		Generation: g.generation, Loaded: g.loaded, Failing: g.failing,
		Problems: append([]config.Problem(nil), g.problems...), Local: g.control[Local], Remote: g.control[Remote],
	}
	for _, key := range s.keys {
		key.Usable = key.key.Usable(now.Unix())
		status.Keys = append(status.Keys, key)
	}
	return status
}

// mode is the mode in force where no route matches.
func (s *snapshot) mode(control [2]config.Control, now time.Time) config.Mode {
	for _, c := range control {
		if !c.Empty() && (c.Until.IsZero() || now.Before(c.Until)) {
			return allowed(c, &s.policy).Effective("", s.policy.Default.Mode)
		}
	}
	return s.policy.Default.Mode
}

// Ready reports whether the gate can pass genuine requests: a key is inside its window.
func (g *Gate) Ready() bool { return g.snapshot().engine.UsableKeys() > 0 }
