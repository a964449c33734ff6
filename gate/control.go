package gate

import (
	"fmt"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
)

// Slot is a place for a control document. Each has its own sequence of versions.
type Slot int

// The slots. While a local override lasts, it wins over a remote one.
const (
	Local  Slot = 0 // from this machine: a file or the admin interface
	Remote Slot = 1 // from a control plane, signed
)

// SetControl puts a control document into a slot and into force. A version that is not higher than the
// slot's, and a document that the policy does not allow (see config.Control.Check), change nothing: the
// problems say why. A document without overrides clears the slot, which is how checks resume.
func (g *Gate) SetControl(slot Slot, c config.Control) []config.Problem {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.snapshot()
	if have := g.control[slot].Version; c.Version <= have {
		return []config.Problem{{Path: "version", Text: fmt.Sprintf("%d is not higher than %d, which is in force; write a higher one", c.Version, have)}}
	}
	problems := c.Check(s.policy, g.o.Now())
	if slot == Remote && c.Until.IsZero() && !c.Empty() {
		problems = append(problems, config.Problem{Path: "until", Text: "a remote override must say when it ends"})
	}
	if config.Failed(problems) {
		return problems
	}
	g.control[slot] = c
	next := *s
	g.store(&next)
	return problems
}

// stages are the engines that control asks for, in the order in which they end. A control document
// outlives policies: routes it names that a new policy lacks are passed over.
func stages(base *engine.Engine, p *config.Policy, control [2]config.Control, now time.Time) []stage {
	var all []stage
	for _, slot := range [...]Slot{Local, Remote} {
		c := control[slot].At(now)
		if c.Empty() {
			continue
		}
		all = append(all, stage{engine: base.With(allowed(c, p)), until: c.Until})
	}
	return all
}

// allowed is a control document as a policy allows it. One without an end was found to be no looser than
// the policy of its day; where today's is stricter, today's mode stands.
func allowed(c config.Control, p *config.Policy) config.Control {
	if !c.Until.IsZero() {
		return c
	}
	routes := map[string]config.Mode{}
	for _, route := range p.Routes {
		routes[route.Name] = stricter(c.Effective(route.Name, route.Mode), route.Mode)
	}
	c.Mode, c.Routes = stricter(c.Effective("", p.Default.Mode), p.Default.Mode), routes
	return c
}

func stricter(a, b config.Mode) config.Mode {
	if a.Looser(b) {
		return b
	}
	return a
}
