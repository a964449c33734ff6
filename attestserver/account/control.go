package account

import (
	"slices"
	"strings"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/config"
)

const (
	maxGates    = 100 // that an account controls
	maxGateName = 100 // bytes; the same as in a gate's policy
	maxRoutes   = 100 // with a mode of their own in one control
	defaultFor  = time.Hour
	resume      = "resume"
)

// Override is what gates are to do for a time, see config.Control. Without mode and routes, or with the mode resume,
// they are to follow their policies again.
type Override struct {
	Mode   string            // enforce, log, bypass, resume; empty: the policy's
	Routes map[string]string // modes of single routes
	For    string            // a duration of at most 24 h; empty: an hour, unless Until is set
	Until  time.Time         // in place of For, and may be later
	Reason string
}

// GateControl is what a gate was told last.
func (a *Account) GateControl(gate string) (Control, error) {
	if err := checkGate(gate); err != nil {
		return Control{}, err
	}
	if where, found := a.findControl(gate); found {
		return a.Controls[where], nil
	}
	return Control{Gate: gate}, nil
}

// SetControl tells gates what to do. The version of each gate's control rises.
func (a *Account) SetControl(by Actor, at time.Time, gates []string, o Override) error {
	return a.change(by, at, OpGatewaySet, func(c *Account) (outcome, error) {
		if err := checkGates(gates); err != nil {
			return unchanged, err
		}
		control, err := o.control(by, at)
		if err != nil {
			return unchanged, err
		}
		for _, gate := range gates {
			where, found := c.findControl(gate)
			if !found {
				c.Controls = slices.Insert(c.Controls, where, Control{})
			}
			control.Gate, control.Version = gate, c.Controls[where].Version+1
			c.Controls[where] = control
			c.Controls = c.Clone().Controls // the routes are each gate's own
		}
		if len(c.Controls) > maxGates {
			return unchanged, refuse(attestapi.CodeLimit, "gates: the account would control %d gates, and may control %d", len(c.Controls), maxGates)
		}
		return outcome{subjects: gates, detail: control.detail()}, nil
	})
}

func (a *Account) findControl(gate string) (where int, found bool) {
	return slices.BinarySearchFunc(a.Controls, gate, func(c Control, gate string) int { return strings.Compare(c.Gate, gate) })
}

func checkGates(gates []string) error {
	if len(gates) == 0 {
		return refuse(attestapi.CodeInvalid, "gates: it is missing; name the gates, as their policies do")
	}
	for i, gate := range gates {
		if err := checkGate(gate); err != nil {
			return err
		}
		if slices.Contains(gates[:i], gate) {
			return refuse(attestapi.CodeInvalid, "gates: %.80q stands there twice", gate)
		}
	}
	return nil
}

func checkGate(gate string) error {
	if gate == "" {
		return refuse(attestapi.CodeInvalid, "gate: it is missing; give the gate's name, as its policy does")
	}
	return checkText("gate", gate, maxGateName)
}

// control judges an override as gates will, so that there is never one they would refuse.
func (o Override) control(by Actor, at time.Time) (Control, error) {
	if o.Mode == resume {
		o.Mode = ""
		if len(o.Routes) > 0 {
			return Control{}, refuse(attestapi.CodeInvalid, "routes: resume is for the whole gate; leave the routes out, or set their modes without resume")
		}
	}
	routes := map[string]any{}
	for name, mode := range o.Routes {
		if name == "" || checkText("routes", name, maxGateName) != nil || mode == "" {
			return Control{}, refuse(attestapi.CodeInvalid, "routes: %.80q must be the name of a route, and its mode enforce, log or bypass", name)
		}
		routes[name] = mode
	}
	if len(routes) > maxRoutes {
		return Control{}, refuse(attestapi.CodeInvalid, "routes: there are %d, and %d may have a mode of their own", len(routes), maxRoutes)
	}
	end, err := o.end(at)
	if err != nil {
		return Control{}, err
	}
	tree := map[string]any{"version": int64(1), "routes": routes, "reason": o.Reason, "by": by.Name}
	if o.Mode != "" {
		tree["mode"] = o.Mode
	}
	if _, problems := config.DecodeControl(tree); config.Failed(problems) {
		return Control{}, refuse(attestapi.CodeInvalid, "%s", problems[0])
	}
	c := Control{Mode: o.Mode, Until: end, Reason: o.Reason, By: by.Name}
	if len(o.Routes) > 0 {
		c.Routes = o.Routes
	}
	return c, nil
}

// end is when an override ends; zero if there is none.
func (o Override) end(at time.Time) (time.Time, error) {
	none := o.Mode == "" && len(o.Routes) == 0
	length := defaultFor
	switch {
	case none && (o.For != "" || !o.Until.IsZero()):
		return time.Time{}, refuse(attestapi.CodeInvalid, "for: there is nothing that could end; give a mode, or leave it out")
	case none:
		return time.Time{}, nil
	case o.For != "" && !o.Until.IsZero():
		return time.Time{}, refuse(attestapi.CodeInvalid, "for: it stands beside until; give one of the two")
	case !o.Until.IsZero():
		if !o.Until.After(at) || o.Until.After(at.Add(MaxLifetime)) {
			return time.Time{}, refuse(attestapi.CodeInvalid, "until: %s must be later than now and within 100 years", o.Until.UTC().Format(time.RFC3339))
		}
		return secondUp(o.Until), nil
	case o.For != "":
		var err error
		if length, err = lifetime("for", o.For); err != nil {
			return time.Time{}, err
		}
	}
	if length > config.LongestFor {
		return time.Time{}, refuse(attestapi.CodeInvalid, "for: it may be at most 24h; what lasts longer must be written out as until: %s", secondUp(at.Add(length)).Format(time.RFC3339))
	}
	return secondUp(at.Add(length)), nil
}

func (c Control) detail() string {
	if c.Mode == "" && len(c.Routes) == 0 {
		return resume
	}
	var parts []string
	if c.Mode != "" {
		parts = append(parts, c.Mode)
	}
	var names []string
	for name := range c.Routes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, name+": "+c.Routes[name])
	}
	text := strings.Join(parts, ", ") + " until " + c.Until.Format(time.RFC3339)
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}
