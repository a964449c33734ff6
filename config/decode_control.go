package config

import (
	"sort"
	"strings"
	"time"
)

// LongestFor is the furthest that an override may end from now where its length is given in place of its end.
const LongestFor = 24 * time.Hour

// DecodeControl makes the live switch from a tree with the keys version, mode, rollout, routes, until, reason and by.
// With a problem that is more than a warning the control is empty. Whether it fits a policy is Check's to say.
func DecodeControl(tree map[string]any) (Control, []Problem) {
	t := NewTree(tree)
	c := decodeControl(t)
	c.Version = t.Int("version", 0, 1, largestWhole)
	if !t.Has("version") {
		t.Refuse("version", "is missing; number the documents from 1, each higher than the one before")
	}
	return accepted(t, c)
}

// DecodeChange is DecodeControl for what a person asks of one gate at a time: there is no version, which is the
// gate's to give, and for, such as 15m, may stand in place of until.
func DecodeChange(tree map[string]any, now time.Time) (Control, []Problem) {
	t := NewTree(tree)
	c := decodeControl(t)
	if _, given := tree["version"]; given && t.Has("version") {
		t.Refuse("version", "is the gate's to give; delete it (If-Match says which version a change is meant to replace)")
	}
	length := t.Duration("for", 0, time.Second, LongestFor)
	if t.Has("for") && t.Has("until") {
		t.Refuse("for", "stands beside until; delete one of the two")
	}
	for _, end := range [...]string{"for", "until"} {
		if t.Has(end) && c.Empty() && !Failed(t.Problems()) {
			t.Refuse(end, "there is nothing that could end; give mode, rollout or routes, or delete it")
		}
	}
	if length > 0 {
		c.Until = now.Add(length + time.Second - 1).Truncate(time.Second) // no shorter than asked for
	}
	return accepted(t, c)
}

// accepted is c, or an empty one if t has a problem that is more than a warning.
func accepted(t *Tree, c Control) (Control, []Problem) {
	problems := t.Problems()
	if Failed(problems) {
		return Control{}, problems
	}
	return c, problems
}

// decodeControl reads the keys that every control document has.
func decodeControl(t *Tree) Control {
	c := Control{
		Override: decodeOverride(t),
		Until:    t.Time("until"),
		Reason:   auditText(t, "reason"),
		By:       auditText(t, "by"),
	}
	routes := t.Sub("routes")
	for _, name := range routes.Keys() {
		if c.Routes == nil {
			c.Routes = map[string]Override{}
		}
		c.Routes[name] = decodeRouteOverride(routes, name)
	}
	return c
}

// decodeOverride reads the keys mode and rollout.
func decodeOverride(t *Tree) Override {
	o := Override{
		Mode:       Mode(t.Choice("mode", "", string(Enforce), string(Log), string(Bypass))),
		HasRollout: t.Has("rollout"),
	}
	if o.HasRollout {
		o.Rollout = int(t.Int("rollout", 0, 0, 100))
	}
	return o
}

// decodeRouteOverride reads one of routes: a mode, or a map of mode and rollout.
func decodeRouteOverride(routes *Tree, name string) Override {
	if _, isMap := routes.values[name].(map[string]any); !isMap {
		return Override{Mode: Mode(routes.Choice(name, "", string(Enforce), string(Log), string(Bypass)))}
	}
	o := decodeOverride(routes.Sub(name))
	if o.none() {
		routes.Refuse(name, "overrides nothing; give it mode or rollout, or delete it")
	}
	return o
}

// auditText reads a line for the audit log.
func auditText(t *Tree, key string) string {
	s := t.Text(key, "")
	if hasControl(s) || len(s) > 500 {
		t.Refuse(key, "must be one line of at most 500 bytes")
	}
	return s
}

// Check reports what keeps c from being used with policy p at a time: routes that p does not have, unknown
// modes, and a mode looser than the policy's without an end. That c has ended already is a warning.
func (c Control) Check(p Policy, now time.Time) []Problem {
	t := NewTree(nil)
	if c.Mode != "" && !known(c.Mode) {
		t.Refuse("mode", "must be enforce or log or bypass")
	}
	routes := newTree("routes", nil, t.report)
	var names []string
	own := map[string]Route{}
	for _, r := range p.Routes {
		names = append(names, r.Name)
		own[r.Name] = r
	}
	sort.Strings(names)
	for name, o := range c.Routes {
		r, exists := own[name]
		switch {
		case !exists:
			text := "the policy has no route of this name"
			if near := nearest(name, names); near != "" {
				text += "; did you mean " + near + "?"
			} else if len(names) > 0 {
				text += "; use one of " + strings.Join(names, ", ")
			}
			routes.Refuse(name, text)
		case o.Mode != "" && !known(o.Mode):
			routes.Refuse(name, "must be enforce or log or bypass")
		case r.Exempt:
			routes.Warn(name, "the route has check: none, which control does not touch; delete it")
		}
	}
	if c.Until.IsZero() && c.looser(p) {
		t.Refuse("until", "is missing; a mode or rollout looser than the policy's needs an end, such as 2030-01-31T12:00:00Z")
	}
	if !c.Empty() && !c.Until.IsZero() && !now.Before(c.Until) {
		t.Warn("until", "has passed; the policy's own modes apply")
	}
	return t.Problems()
}

// looser reports whether c lets through more than p somewhere.
func (c Control) looser(p Policy) bool {
	for _, r := range append([]Route{{Rule: p.Default}}, p.Routes...) {
		if !r.Exempt && looser(c.Effective(r.Name, r.Mode), c.EffectiveRollout(r.Name, r.Rollout), r.Rule) {
			return true
		}
	}
	return false
}

func known(m Mode) bool { return m == Enforce || m == Log || m == Bypass }
