package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

func enforceFor(percent int, version int64, end time.Time) config.Control {
	return config.Control{Version: version, Override: config.Override{Mode: config.Enforce, Rollout: percent, HasRollout: true}, Until: end}
}

// rejected are the devices, of the first n, whose requests are rejected for a token that is denied.
func rejected(t *testing.T, g *gate.Gate, target string, n int) map[int]bool {
	t.Helper()
	all := map[int]bool{}
	for i := range n {
		c := claims()
		c["exp"] = noon.Unix() + 86400
		c["did"], c["iss"] = fmt.Sprintf("device %d", i), "denied"
		a := g.Ask(incoming("GET", target, "Approov-Token", sign(t, "account", c)))
		if a.Reason != engine.ClaimDenied {
			t.Fatalf("got %s, want claim_denied", a.Reason)
		}
		if (a.Action == engine.Reject) != (a.Mode == config.Enforce) {
			t.Fatalf("got %s in mode %s, want a reject in enforce alone", a.Action, a.Mode)
		}
		if a.Action == engine.Reject {
			all[i] = true
		}
	}
	return all
}

// A share of the devices is enforced, the same ones as long as it does not shrink.
func TestARolloutInControl(t *testing.T) {
	const devices = 2000
	d := newDesk(tree{"mode": "log", "deny_issuers": "denied", "routes": []any{tree{"name": "pay", "paths": "/pay", "rollout": 50, "mode": "enforce"}}})
	g := d.open(t)
	var before map[int]bool
	for i, step := range []struct {
		percent     int
		route, rest int // percent of devices expected to be enforced
	}{{0, 0, 0}, {10, 10, 10}, {25, 25, 25}, {100, 100, 100}} {
		if problems := g.SetControl(gate.Local, enforceFor(step.percent, int64(i+1), noon.Add(time.Hour))); config.Failed(problems) {
			t.Fatalf("%d percent: got problems %v, want none", step.percent, problems)
		}
		got := rejected(t, g, "/", devices)
		if share := len(got) * 100 / devices; share < step.rest-3 || share > step.rest+3 {
			t.Errorf("%d percent: got %d percent rejected, want about %d", step.percent, share, step.rest)
		}
		if share := len(rejected(t, g, "/pay", devices)) * 100 / devices; share < step.route-3 || share > step.route+3 {
			t.Errorf("%d percent, on the route: got %d percent rejected, want about %d", step.percent, share, step.route)
		}
		for device := range before {
			if !got[device] {
				t.Fatalf("%d percent: got device %d no longer enforced, want it to stay", step.percent, device)
			}
		}
		before = got
	}
	d.after(time.Hour)
	if got, route := len(rejected(t, g, "/", devices)), len(rejected(t, g, "/pay", devices)); got != 0 || route < devices*45/100 || route > devices*55/100 {
		t.Errorf("at its end: got %d and %d rejected, want the policy's none and half", got, route)
	}
}

func TestRolloutsThatNeedAnEnd(t *testing.T) {
	policy := tree{"mode": "log", "routes": []any{tree{"name": "pay", "paths": "/pay", "mode": "enforce", "rollout": 50}, tree{"name": "health", "paths": "/health", "check": "none"}}}
	route := func(name string, o config.Override) config.Control {
		return config.Control{Version: 1, Routes: map[string]config.Override{name: o}}
	}
	for _, row := range []struct {
		name    string
		control config.Control
		endless bool
	}{
		{"more of the route's devices", route("pay", config.Override{Rollout: 51, HasRollout: true}), true},
		{"as many", route("pay", config.Override{Rollout: 50, HasRollout: true}), true},
		{"fewer", route("pay", config.Override{Rollout: 49, HasRollout: true}), false},
		{"all in log", route("pay", config.Override{Mode: config.Log, Rollout: 100, HasRollout: true}), false},
		{"enforcing everywhere, as far as the rules' own rollouts go", config.Control{Version: 1, Override: config.Override{Mode: config.Enforce}}, true},
		{"fewer everywhere", enforceFor(49, 1, time.Time{}), false},
		{"half everywhere", enforceFor(50, 1, time.Time{}), true},
		{"a rollout of the default, which is in log and stays there", config.Control{Version: 1, Override: config.Override{Rollout: 60, HasRollout: true}}, true},
		{"an exempt route", route("health", config.Override{Mode: config.Bypass}), true},
	} {
		g := openGate(t, policy)
		problems := g.SetControl(gate.Local, row.control)
		if config.Failed(problems) == row.endless {
			t.Errorf("%s, endless: got problems %v, want taken %v", row.name, problems, row.endless)
		}
		row.control.Until = noon.Add(time.Minute)
		row.control.Version = 2
		if problems := g.SetControl(gate.Local, row.control); config.Failed(problems) {
			t.Errorf("%s, with an end: got problems %v, want none", row.name, problems)
		}
	}
}

// An endless document was no looser than the policy of its day. Where a later policy is stricter, that stands.
func TestAnEndlessRolloutUnderALaterPolicy(t *testing.T) {
	d := newDesk(tree{"mode": "log", "routes": []any{tree{"name": "pay", "paths": "/pay", "mode": "enforce", "rollout": 25}, tree{"name": "health", "paths": "/health", "check": "none"}}})
	g := d.open(t)
	endless := config.Control{Version: 1, Override: config.Override{Mode: config.Enforce, Rollout: 50, HasRollout: true}, Routes: map[string]config.Override{"pay": {Rollout: 30, HasRollout: true}}}
	if problems := g.SetControl(gate.Local, endless); config.Failed(problems) {
		t.Fatal(problems)
	}
	describe := func() string {
		all := ""
		for _, r := range g.Status().Routes {
			all += fmt.Sprintf("%s:%s/%d/%s/%s ", r.Name, r.Mode, r.Rollout, r.Own, r.Says)
		}
		return strings.TrimSpace(all)
	}
	for _, step := range []struct {
		name   string
		policy tree
		want   string
	}{
		{"its own day", nil, "pay:enforce/30/enforce/local health:log/100/log/policy :enforce/50/log/local"},
		{"a higher rollout", tree{"routes": []any{tree{"name": "pay", "paths": "/pay", "mode": "enforce", "rollout": 80}}}, "pay:enforce/80/enforce/policy :enforce/50/log/local"},
		{"enforcing everywhere", tree{"mode": "enforce"}, "pay:enforce/80/enforce/policy :enforce/100/enforce/policy"},
		{"another route", tree{"routes": []any{tree{"name": "new", "paths": "/new", "mode": "enforce", "rollout": 10}}}, "new:enforce/50/enforce/local :enforce/100/enforce/policy"},
		{"looser than ever", tree{"mode": "bypass", "routes": []any{tree{"name": "pay", "paths": "/pay"}}}, "pay:enforce/30/bypass/local :enforce/50/bypass/local"},
	} {
		d.change(func(d *desk) { d.policy = with2(d.policy, step.policy) })
		if problems := g.Refresh(); config.Failed(problems) {
			t.Fatalf("%s: %v", step.name, problems)
		}
		if got := describe(); got != step.want {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
	}
}

// Control does not touch a route with check: none, whatever it says.
func TestControlDoesNotTouchExemptRoutes(t *testing.T) {
	g := openGate(t, tree{"routes": []any{tree{"name": "health", "paths": "/health", "check": "none"}}})
	problems := g.SetControl(gate.Local, config.Control{Version: 1, Override: config.Override{Mode: config.Bypass}, Routes: map[string]config.Override{"health": {Mode: config.Log}}, Until: noon.Add(time.Hour)})
	if len(problems) != 1 || !problems[0].Warning || problems[0].Path != "routes.health" {
		t.Errorf("got problems %v, want one warning of the route", problems)
	}
	if r := g.Status().Routes[0]; r.Mode != config.Enforce || r.Says != "policy" || !r.Exempt {
		t.Errorf("got %+v, want the policy's word", r)
	}
	if a := g.Ask(incoming("GET", "/health")); a.Reason != engine.Exempt || a.Mode != config.Enforce || a.Action != engine.Forward {
		t.Errorf("got %s in mode %s, want exempt in the policy's", a.Reason, a.Mode)
	}
	if a := g.Ask(incoming("GET", "/\\")); a.Reason != engine.Bypassed {
		t.Errorf("a target that cannot be read: got %s, want bypassed: nothing is checked", a.Reason)
	}
}
