package config

import "time"

// Control is the live switch: overrides of the modes, changed without touching the policy.
// The zero value overrides nothing.
type Control struct {
	Version  int64               // rises with every change; a lower or equal one never replaces a higher
	Override                     // for every route that Routes does not name
	Routes   map[string]Override // by route name
	Until    time.Time           // when the overrides end; zero: never, allowed only where nothing is looser than the policy
	Reason   string              // why, for the audit log
	By       string              // who, for the audit log
}

// Override is what the live switch says of a route. The zero value leaves it as the policy has it.
type Override struct {
	Mode       Mode // empty: the policy's
	Rollout    int  // percent of devices enforced, 0 to 100; see HasRollout
	HasRollout bool // false: the policy's rollout
}

// Empty reports whether c overrides nothing, as after resume.
func (c Control) Empty() bool { return c.Override.none() && len(c.Routes) == 0 }

func (o Override) none() bool { return o.Mode == "" && !o.HasRollout }

// Same reports whether two documents say the same.
func (c Control) Same(other Control) bool {
	if c.Version != other.Version || c.Override != other.Override || !c.Until.Equal(other.Until) ||
		c.Reason != other.Reason || c.By != other.By || len(c.Routes) != len(other.Routes) {
		return false
	}
	for name, o := range c.Routes {
		if same, ok := other.Routes[name]; !ok || same != o {
			return false
		}
	}
	return true
}

// Tree is c as DecodeControl reads it.
func (c Control) Tree() map[string]any {
	tree := c.Override.tree()
	tree["version"] = c.Version
	if len(c.Routes) > 0 {
		routes := map[string]any{}
		for name, o := range c.Routes {
			routes[name] = o.tree()
		}
		tree["routes"] = routes
	}
	if !c.Until.IsZero() {
		tree["until"] = c.Until.UTC().Format(time.RFC3339Nano)
	}
	for key, text := range map[string]string{"reason": c.Reason, "by": c.By} {
		if text != "" {
			tree[key] = text
		}
	}
	return tree
}

func (o Override) tree() map[string]any {
	tree := map[string]any{}
	if o.Mode != "" {
		tree["mode"] = string(o.Mode)
	}
	if o.HasRollout {
		tree["rollout"] = o.Rollout
	}
	return tree
}

// Effective is the precedence rule: the control's mode for the route, else the control's mode, else the
// route's own. The route's own mode already holds what it inherits from the policy. An empty name is
// a request that no route matched.
func (c Control) Effective(route string, own Mode) Mode {
	if route != "" {
		if m := c.Routes[route].Mode; m != "" {
			return m
		}
	}
	if c.Mode != "" {
		return c.Mode
	}
	return own
}

// EffectiveRollout is the same rule for the percentage of devices enforced.
func (c Control) EffectiveRollout(route string, own int) int {
	if route != "" {
		if o := c.Routes[route]; o.HasRollout {
			return o.Rollout
		}
	}
	if c.HasRollout {
		return c.Rollout
	}
	return own
}

// looser reports whether mode and rollout let through more than those of a rule.
func looser(mode Mode, rollout int, own Rule) bool {
	if mode != own.Mode {
		return mode.Looser(own.Mode)
	}
	return mode == Enforce && rollout < own.Rollout
}

// Stricter is c as far as it is not looser than the policy: where the policy's mode is stricter, or its rollout
// higher in the same mode, the policy's stand. Every route of the policy is named in it.
func (c Control) Stricter(p Policy) Control {
	strict := func(name string, own Rule) Override {
		o := Override{Mode: c.Effective(name, own.Mode), Rollout: c.EffectiveRollout(name, own.Rollout), HasRollout: true}
		if looser(o.Mode, o.Rollout, own) {
			o.Mode, o.Rollout = own.Mode, own.Rollout
		}
		return o
	}
	routes := map[string]Override{}
	for _, route := range p.Routes {
		routes[route.Name] = strict(route.Name, route.Rule)
	}
	c.Override = strict("", p.Default)
	c.Routes = routes
	return c
}

// At is the control in force at a time: c, or the zero Control from Until on.
func (c Control) At(now time.Time) Control {
	if !c.Until.IsZero() && !now.Before(c.Until) {
		return Control{}
	}
	return c
}
