package config

import "time"

// Control is the live switch: overrides of the modes, changed without touching the policy.
// The zero value overrides nothing.
type Control struct {
	Version int64           // rises with every change; a lower or equal one never replaces a higher
	Mode    Mode            // for every route that Routes does not name; empty: the policy's
	Routes  map[string]Mode // by route name
	Until   time.Time       // when the overrides end; zero: never, allowed only where nothing is looser than the policy
	Reason  string          // why, for the audit log
	By      string          // who, for the audit log
}

// Empty reports whether c overrides nothing, as after resume.
func (c Control) Empty() bool { return c.Mode == "" && len(c.Routes) == 0 }

// Effective is the precedence rule: the control's mode for the route, else the control's mode, else the
// route's own. The route's own mode already holds what it inherits from the policy. An empty name is
// a request that no route matched.
func (c Control) Effective(route string, own Mode) Mode {
	if route != "" {
		if m, ok := c.Routes[route]; ok {
			return m
		}
	}
	if c.Mode != "" {
		return c.Mode
	}
	return own
}

// At is the control in force at a time: c, or the zero Control from Until on.
func (c Control) At(now time.Time) Control {
	if !c.Until.IsZero() && !now.Before(c.Until) {
		return Control{}
	}
	return c
}
