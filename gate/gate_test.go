package gate_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

func TestNewNeedsAGoodPolicy(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(d *desk)
		path  string // of the problem
	}{
		{"an unknown key", func(d *desk) { d.policy["tokens"] = tree{} }, "tokens"},
		{"no keys", func(d *desk) { delete(d.policy, "keys") }, "keys"},
		{"a missing secret", func(d *desk) { delete(d.secrets, "env:ACCOUNT") }, "keys[0].secret"},
		{"an empty secret", func(d *desk) { d.secrets["env:ACCOUNT"] = "" }, "keys[0].secret"},
		{"a weak secret", func(d *desk) { d.secrets["env:ACCOUNT"] = "c2hvcnQ=" }, "keys[0].secret"},
		{"a secret in another encoding", func(d *desk) { d.secrets["env:ACCOUNT"] = strings.Repeat("!", 64) }, "keys[0].secret"},
	} {
		d := newDesk(nil)
		row.spoil(d)
		g, problems := gate.New(d.options())
		if g != nil || !config.Failed(problems) || problems[0].Path != row.path {
			t.Errorf("%s: got gate %v and problems %v, want none and one at %s", row.name, g != nil, problems, row.path)
		}
		if text := strings.ToLower(problemText(problems)); strings.Contains(text, "c2hvcnq") || strings.Contains(text, "!!!!") {
			t.Errorf("%s: got a problem that quotes the secret: %s", row.name, text)
		}
	}
}

func problemText(problems []config.Problem) string {
	text := ""
	for _, p := range problems {
		text += p.String() + "\n"
	}
	return text
}

func TestABadRefreshKeepsTheLastGood(t *testing.T) {
	d := newDesk(tree{"routes": []any{tree{"name": "open", "paths": "/open", "check": "none"}}})
	g := d.open(t)
	good := maps.Clone(d.policy)
	secret := d.secrets["env:ACCOUNT"]
	for _, row := range []struct {
		name  string
		spoil func(d *desk)
	}{
		{"an unknown key", func(d *desk) { d.policy = tree{"mode": "bypass", "keyz": 1} }},
		{"an empty policy", func(d *desk) { d.policy = tree{} }},
		{"a bypass with a missing secret", func(d *desk) { d.policy["mode"] = "bypass"; delete(d.secrets, "env:ACCOUNT") }},
		{"a weak secret", func(d *desk) { d.secrets["env:ACCOUNT"] = "c2hvcnQ=" }},
	} {
		d.change(row.spoil)
		before := g.Status()
		if problems := g.Refresh(); !config.Failed(problems) {
			t.Errorf("%s: got no problem, want one", row.name)
		}
		status := g.Status()
		if !status.Failing || status.Generation != before.Generation || len(status.Problems) == 0 || status.Mode != config.Enforce || !g.Ready() {
			t.Errorf("%s: got status %+v, want failing, with problems, in generation %d, enforcing and ready", row.name, status, before.Generation)
		}
		if a := g.Ask(genuine(t, "/")); a.Action != engine.Forward || a.Reason != engine.OK {
			t.Errorf("%s: a genuine request: got %s %s, want forward ok", row.name, a.Action, a.Reason)
		}
		if a := g.Ask(incoming("GET", "/")); a.Action != engine.Reject {
			t.Errorf("%s: a request without token: got %s, want reject", row.name, a.Action)
		}
		if a := g.Ask(incoming("GET", "/open")); a.Reason != engine.Exempt {
			t.Errorf("%s: an exempt route: got %s, want exempt", row.name, a.Reason)
		}
		d.change(func(d *desk) { d.policy = maps.Clone(good); d.secrets["env:ACCOUNT"] = secret })
		if problems := g.Refresh(); config.Failed(problems) || g.Status().Failing {
			t.Errorf("%s, then good again: got problems %v, want none", row.name, problems)
		}
	}
}

func TestRefreshTakesChangesAtOnce(t *testing.T) {
	d := newDesk(nil)
	g := d.open(t)
	old := genuine(t, "/")
	for _, row := range []struct {
		name       string
		change     func(d *desk)
		generation int
		reason     engine.Reason
	}{
		{"nothing", func(_ *desk) {}, 1, engine.OK},
		{"the clock alone", func(d *desk) { d.now = noon.Add(time.Second) }, 1, engine.OK},
		{"the same secret in other spelling", func(d *desk) { d.secrets["env:ACCOUNT"] += "\n" }, 2, engine.OK},
		{"another secret", func(d *desk) { d.secrets["env:ACCOUNT"] = strings.Repeat("QUJD", 16) }, 3, engine.SignatureInvalid},
		{"a mode", func(d *desk) { d.policy["mode"] = "bypass" }, 4, engine.Bypassed},
		{"one annotation of two words", func(d *desk) { d.policy["deny_annotations"] = []any{"a b"} }, 5, engine.Bypassed},
		{"two annotations of one word", func(d *desk) { d.policy["deny_annotations"] = []any{"a", "b"} }, 6, engine.Bypassed},
	} {
		d.change(row.change)
		if problems := g.Refresh(); config.Failed(problems) {
			t.Fatalf("%s: got problems %v, want none", row.name, problems)
		}
		if got := g.Status().Generation; got != row.generation {
			t.Errorf("%s changed: got generation %d, want %d", row.name, got, row.generation)
		}
		if got := g.Ask(old).Reason; got != row.reason {
			t.Errorf("%s changed: got %s, want %s", row.name, got, row.reason)
		}
	}
}

func TestCountersOutliveTheirPolicy(t *testing.T) {
	accept := tree{"from": "header:Authorization", "missing_pay": "accept"}
	d := newDesk(tree{"routes": []any{tree{"name": "pay", "paths": "/pay", "binding": accept, "deny_issuers": "denied"}, tree{"name": "feed", "paths": "/feed", "mode": "log"}}})
	g := d.open(t)
	g.Ask(genuine(t, "/pay"))
	g.Ask(incoming("GET", "/pay"))
	g.Ask(incoming("GET", "/feed"))
	g.Ask(incoming("GET", "/"))
	unbound := with(claims(), "pay")
	g.Ask(incoming("GET", "/pay", "Approov-Token", sign(t, "account", unbound)))
	g.Ask(incoming("GET", "/pay", "Approov-Token", sign(t, "nobody", unbound)))
	unbound["iss"] = "denied"
	g.Ask(incoming("GET", "/pay", "Approov-Token", sign(t, "account", unbound)))
	g.Check(engine.Request{})
	d.change(func(d *desk) { d.policy["routes"] = []any{tree{"name": "pay", "paths": "/other"}} })
	if problems := g.Refresh(); config.Failed(problems) {
		t.Fatal(problems)
	}
	g.Ask(genuine(t, "/other"))
	want := map[gate.Count]bool{
		{Route: "pay", Mode: config.Enforce, Verdict: engine.Pass, Reason: engine.OK, Action: engine.Forward, N: 3}:              true,
		{Route: "pay", Mode: config.Enforce, Verdict: engine.Fail, Reason: engine.TokenMissing, Action: engine.Reject, N: 1}:     true,
		{Route: "pay", Mode: config.Enforce, Verdict: engine.Fail, Reason: engine.SignatureInvalid, Action: engine.Reject, N: 1}: true,
		{Route: "pay", Mode: config.Enforce, Verdict: engine.Fail, Reason: engine.ClaimDenied, Action: engine.Reject, N: 1}:      true,
		{Route: "feed", Mode: config.Log, Verdict: engine.Fail, Reason: engine.TokenMissing, Action: engine.Forward, N: 1}:       true,
		{Route: "", Mode: config.Enforce, Verdict: engine.Fail, Reason: engine.TokenMissing, Action: engine.Reject, N: 1}:        true,
		{Route: "", Mode: config.Enforce, Verdict: engine.Fail, Reason: engine.TargetRefused, Action: engine.Reject, N: 1}:       true,
	}
	got := map[gate.Count]bool{}
	for _, count := range g.Counters() {
		got[count] = true
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("counters: got %v, want %v", got, want)
	}
	if got, want := g.BindingCounts(), []gate.BindingCount{{Route: "pay", Passes: 3, WithPay: 2, Unbound: 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("unbound: got %v, want %v", got, want)
	}
}

// with is a copy of claims without some.
func with(claims tree, not ...string) tree {
	rest := maps.Clone(claims)
	for _, name := range not {
		delete(rest, name)
	}
	return rest
}

func TestStatusTellsWhatIsInForce(t *testing.T) {
	d := newDesk(tree{"name": "edge", "mode": "log", "keys": []any{
		tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT", "not_after": noon.Add(time.Hour).Format(time.RFC3339)},
		tree{"name": "next", "alg": "HS256", "secret": "env:ACCOUNT", "not_before": noon.Add(time.Minute).Format(time.RFC3339)},
	}})
	g := d.open(t)
	status := g.Status()
	if status.Name != "edge" || status.Mode != config.Log || status.Generation != 1 || !status.Loaded.Equal(noon) || status.Failing {
		t.Errorf("got %+v, want edge in mode log, generation 1, loaded at noon", status)
	}
	for _, row := range []struct {
		after         time.Duration
		account, next bool
		ready         bool
	}{{0, true, false, true}, {time.Minute, true, true, true}, {time.Hour, false, true, true}} {
		d.after(row.after)
		keys := g.Status().Keys
		if len(keys) != 2 || keys[0].Usable != row.account || keys[1].Usable != row.next || g.Ready() != row.ready {
			t.Errorf("%v after noon: got keys %+v and ready %v, want usable %v %v and ready %v", row.after, keys, g.Ready(), row.account, row.next, row.ready)
		}
	}
}

func TestAGateWithoutAUsableKeyIsNotReady(t *testing.T) {
	d := newDesk(tree{"keys": []any{tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT", "not_after": noon.Add(time.Hour).Format(time.RFC3339)}}})
	g := d.open(t)
	if !g.Ready() {
		t.Error("inside the window: got not ready, want ready")
	}
	d.after(time.Hour)
	if g.Ready() {
		t.Error("at the end of the window: got ready, want not ready")
	}
	if got := g.Ask(genuine(t, "/")).Reason; got != engine.KeyUnknown {
		t.Errorf("a token of the closed key: got %s, want key_unknown", got)
	}
}
