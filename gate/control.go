package gate

import (
	"fmt"
	"os"
	"strings"

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
	defer g.spread()
	g.mu.Lock()
	defer g.mu.Unlock()
	problems := g.setControl(slot, c)
	if config.Failed(problems) {
		g.tell(Event{Kind: ControlRefused, Slot: slot, Control: c, Text: firstError(problems)})
	}
	return problems
}

// Control returns the control document in a slot; the zero one if there never was any. It may have ended.
func (g *Gate) Control(slot Slot) config.Control {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.control[slot]
}

// setControl is SetControl with mu held, and without telling of what it refuses.
func (g *Gate) setControl(slot Slot, c config.Control) []config.Problem {
	s := g.snapshot()
	problems := g.judge(slot, c, s.policy)
	if config.Failed(problems) {
		return problems
	}
	g.noticeEnds() // what this one replaces may have ended before
	g.control[slot] = c
	g.ended[slot] = c.At(g.o.Now()).Empty()
	g.o.Kin.note(slot, c)
	next := *s
	g.store(&next)
	kind := ControlSet
	if g.ended[slot] {
		kind = ControlCleared
	}
	g.tell(Event{Kind: kind, Slot: slot, Control: c, Text: allTexts(problems)})
	return problems
}

// judge says what keeps a document from being put into a slot. A remote one is for many gates, whose policies
// may differ: routes that this one's does not have are passed over. In a local one that goes for routes of its kin.
func (g *Gate) judge(slot Slot, c config.Control, p config.Policy) []config.Problem {
	if have := g.control[slot].Version; c.Version <= have {
		return []config.Problem{{Path: "version", Text: fmt.Sprintf("%d is not higher than %d, which is in force; write a higher one", c.Version, have)}}
	}
	problems := c.Check(p, g.o.Now())
	if slot == Local {
		return g.passOver(problems, c, p)
	}
	if c.Until.IsZero() && !c.Empty() {
		problems = append(problems, config.Problem{Path: "until", Text: "a remote override must say when it ends"})
	}
	known := map[string]bool{}
	for _, route := range p.Routes {
		known[config.Join("routes", route.Name)] = true
	}
	for i, problem := range problems {
		problems[i].Warning = problem.Warning || strings.HasPrefix(problem.Path, "routes") && !known[problem.Path]
	}
	return problems
}

// passOver drops what was found wrong with routes that only kin have.
func (g *Gate) passOver(problems []config.Problem, c config.Control, p config.Policy) []config.Problem {
	theirs := map[string]bool{}
	for name := range c.Routes {
		theirs[config.Join("routes", name)] = g.o.Kin.hasRoute(name, g)
	}
	for _, route := range p.Routes {
		theirs[config.Join("routes", route.Name)] = false
	}
	var left []config.Problem
	for _, problem := range problems {
		if !theirs[problem.Path] {
			left = append(left, problem)
		}
	}
	return left
}

// noticeEnds tells of overrides that have ended, and of those that are back because the clock was set back. mu is
// held.
func (g *Gate) noticeEnds() {
	now := g.o.Now()
	for _, slot := range [...]Slot{Local, Remote} {
		c := g.control[slot]
		ended := c.At(now).Empty()
		if c.Empty() || ended == g.ended[slot] {
			continue
		}
		g.ended[slot] = ended
		if g.o.Kin.first() != g {
			continue // one of the kin tells
		}
		if ended {
			g.tell(Event{Kind: ControlEnded, Slot: slot, Control: c})
		} else {
			g.tell(Event{Kind: ControlSet, Slot: slot, Control: c, Text: "until: lies ahead again, because the clock was set back"})
		}
	}
}

// ControlFile is the path of the local control document that the policy in force names; empty: none.
func (g *Gate) ControlFile() string { return g.snapshot().policy.Control.File }

// RefreshControl is Refresh of the local control document alone: whoever is about to replace it learns what
// somebody has written there meanwhile. Like Refresh it takes as long as the disk does.
func (g *Gate) RefreshControl() {
	defer g.spread()
	g.reading.Lock()
	defer g.reading.Unlock()
	f := g.readText(g.ControlFile())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.takeFile(f)
}

// controlFile is what is known of the local control document.
type controlFile struct {
	text    string // as last judged
	problem string // what kept it from being put into force; empty: nothing
}

// fileText is a local control document as it was read.
type fileText struct {
	found bool // there is a file
	text  []byte
	err   error
}

// readText reads the local control document. An empty path names none.
func (g *Gate) readText(path string) fileText {
	if path == "" || gone(path) {
		return fileText{}
	}
	text, _, err := g.o.Read("file:" + path)
	return fileText{found: true, text: text, err: err}
}

// gone reports whether there is no file at path, which is not the same as one that cannot be looked at.
func gone(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

// takeFile puts the local control document into force, if it has changed. A file that is gone changes nothing:
// what it said lasts until its end. Problems are warnings, because no policy is worse for them. mu is held.
func (g *Gate) takeFile(f fileText) []config.Problem {
	before := g.file.problem
	switch {
	case !f.found:
		g.file = controlFile{}
	case f.err != nil:
		g.file = controlFile{problem: f.err.Error()}
	case string(f.text) != g.file.text || before != "":
		g.file = controlFile{text: string(f.text), problem: g.takeText(f.text)}
	}
	now := g.file.problem
	if now != before {
		kind := SourceFailing
		if now == "" {
			kind = SourceRecovered
		}
		g.tell(Event{Kind: kind, Source: "control.file", Text: now})
	}
	if now == "" {
		return nil
	}
	return []config.Problem{{Path: "control.file", Text: now + "; it changes nothing", Warning: true}}
}

// takeText puts a local control document into force; what is returned says what kept it from that. The one in
// force may be seen again.
func (g *Gate) takeText(text []byte) string {
	tree, problems := g.o.ParseControl(text)
	if config.Failed(problems) {
		return firstError(problems)
	}
	c, problems := config.DecodeControl(tree)
	if config.Failed(problems) {
		return firstError(problems)
	}
	if c.Same(g.control[Local]) {
		return ""
	}
	if problems := g.setControl(Local, c); config.Failed(problems) {
		return firstError(problems)
	}
	return ""
}

// stages are the engines that control asks for, those of the local slot first. Ended ones are among them: time
// that has passed may come again when the clock is set. A control document outlives policies: routes it names
// that a new policy lacks are passed over.
func stages(base *engine.Engine, p *config.Policy, control [2]config.Control) []stage {
	var all []stage
	for _, slot := range [...]Slot{Local, Remote} {
		if c := control[slot]; !c.Empty() {
			all = append(all, stage{engine: base.With(allowed(c, p)), until: c.Until})
		}
	}
	return all
}

// allowed is a control document as a policy allows it. One without an end was found to be no looser than
// the policy of its day; where today's is stricter, today's mode and rollout stand.
func allowed(c config.Control, p *config.Policy) config.Control {
	if !c.Until.IsZero() {
		return c
	}
	return c.Stricter(*p)
}
