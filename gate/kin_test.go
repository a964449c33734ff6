package gate_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// family is two desks whose gates are kin: one has the routes pay and feed, the other one the route chat.
type family struct {
	kin      gate.Kin
	one, two *desk
	told     []gate.EventKind
	telling  sync.Mutex
	gateOne  *gate.Gate
}

func newFamily(t *testing.T) *family {
	t.Helper()
	f := &family{one: newDesk(controlled), two: newDesk(tree{"routes": []any{tree{"name": "chat", "paths": "/chat"}}})}
	f.gateOne = f.open(t, f.one)
	return f
}

func (f *family) open(t *testing.T, d *desk) *gate.Gate {
	t.Helper()
	o := d.options()
	o.Kin = &f.kin
	o.Notify = func(e gate.Event) {
		f.telling.Lock()
		defer f.telling.Unlock()
		f.told = append(f.told, e.Kind)
	}
	g, problems := gate.New(o)
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	return g
}

func bypassedFor(span time.Duration, version int64) config.Control {
	return config.Control{Version: version, Override: config.Override{Mode: config.Bypass}, Until: noon.Add(span)}
}

// A server that loads a new configuration makes a new gate before it closes the old one. During an incident the
// switch must stay where it is, and nobody must start counting from nought.
func TestAGateGoesOnWhereItsKinStand(t *testing.T) {
	f := newFamily(t)
	f.gateOne.SetControl(gate.Local, bypassedFor(time.Hour, 3))
	f.gateOne.SetControl(gate.Remote, hour(config.Log, 7))
	f.gateOne.Ask(incoming("GET", "/pay"))
	for generation := range 3 {
		next := f.open(t, f.one)
		f.gateOne.Close()
		if got := modes(t, next); got != "bypass bypass bypass" {
			t.Fatalf("gate %d after the first: got %s, want the bypass", generation+1, got)
		}
		f.gateOne = next
	}
	for _, count := range f.gateOne.Counters() {
		if count.Route == "pay" && count.N != 4 {
			t.Errorf("route pay: got %d decisions, want 4 over all gates", count.N)
		}
	}
	if problems := f.gateOne.SetControl(gate.Local, bypassedFor(time.Hour, 3)); !config.Failed(problems) {
		t.Error("a version that an earlier gate had: got no problem, want it refused")
	}
	f.gateOne.SetControl(gate.Local, config.Control{Version: 4})
	if got := modes(t, f.gateOne); got != "log log log" {
		t.Errorf("resumed: got %s, want the remote override", got)
	}
	if want := []gate.EventKind{gate.ControlSet, gate.ControlSet, gate.ControlRefused, gate.ControlCleared}; !slices.Equal(f.told, want) {
		t.Errorf("told: got %v, want %v, each change once", f.told, want)
	}
	f.gateOne.Close()
	if got := modes(t, f.open(t, f.one)); got != "log log log" {
		t.Errorf("a gate that comes when all others have left: got %s, want what is in force", got)
	}
}

func TestWhatOneIsToldHoldsForAllKin(t *testing.T) {
	f := newFamily(t)
	other := f.open(t, f.two)
	chat := func() string { return string(other.Ask(incoming("GET", "/chat")).Mode) }
	for _, row := range []struct {
		name      string
		control   config.Control
		one, chat string
		refused   string // path of the problem
	}{
		{"all", bypassedFor(time.Hour, 1), "bypass bypass bypass", "bypass", ""},
		{"a route of each", config.Control{Version: 2, Until: noon.Add(time.Hour),
			Routes: map[string]config.Override{"pay": {Mode: config.Log}, "chat": {Mode: config.Bypass}}}, "log log enforce", "bypass", ""},
		{"a route that nobody has", config.Control{Version: 3, Until: noon.Add(time.Hour),
			Routes: map[string]config.Override{"chet": {Mode: config.Log}, "chat": {Mode: config.Log}}}, "log log enforce", "bypass", "routes.chet"},
		{"no looser than the first's policy, without an end", config.Control{Version: 4, Override: config.Override{Mode: config.Enforce}}, "enforce enforce enforce", "enforce", ""},
		{"nothing", config.Control{Version: 5}, "enforce log enforce", "enforce", ""},
	} {
		problems := f.kin.SetControl(gate.Local, row.control)
		if refused := config.Failed(problems); refused != (row.refused != "") || refused && problems[0].Path != row.refused {
			t.Errorf("%s: got problems %v, want one at %q", row.name, problems, row.refused)
		}
		if got := modes(t, f.gateOne); got != row.one || chat() != row.chat {
			t.Errorf("%s: got %s and %s, want %s and %s", row.name, got, chat(), row.one, row.chat)
		}
	}
	if got := f.kin.Control(gate.Local).Version; got != 5 {
		t.Errorf("the newest: got version %d, want 5", got)
	}

	other.SetControl(gate.Remote, hour(config.Log, 1))
	if got := modes(t, f.gateOne); got != "log log log" {
		t.Errorf("told by the other's control plane: got %s, want log", got)
	}
	other.Close()
	f.kin.SetControl(gate.Local, bypassedFor(time.Hour, 6))
	if chat() != "log" {
		t.Errorf("a gate that has left: got %s, want what it had", chat())
	}
}

// What is no looser than one policy may be looser than another one: there it is not followed.
func TestKinWithAStricterPolicy(t *testing.T) {
	f := newFamily(t)
	f.one.change(func(d *desk) { d.policy["mode"] = "log" })
	f.gateOne.Refresh()
	other := f.open(t, f.two)
	if problems := f.kin.SetControl(gate.Local, config.Control{Version: 1, Override: config.Override{Mode: config.Log}}); config.Failed(problems) {
		t.Fatal(problems)
	}
	if a := other.Ask(incoming("GET", "/chat")); a.Action != engine.Reject {
		t.Errorf("a request without token, under the stricter policy: got %s, want reject", a.Action)
	}
}

func TestKinReadTheControlFileOfEach(t *testing.T) {
	f := newFamily(t)
	path := filepath.Join(t.TempDir(), "control.json")
	f.one.change(func(d *desk) { d.policy["control"] = tree{"file": path} })
	f.gateOne.Refresh()
	other := f.open(t, f.two)
	if got := f.kin.ControlFile(); got != path {
		t.Errorf("control file: got %q, want %q", got, path)
	}
	f.one.change(func(d *desk) {
		d.secrets["file:"+path] = `{"version": 1, "mode": "bypass", "until": "` + noon.Add(time.Hour).Format(time.RFC3339) + `"}`
	})
	if err := os.WriteFile(path, nil, 0o600); err != nil { // that it is there; the desk has the text
		t.Fatal(err)
	}
	f.kin.RefreshControl()
	if a := other.Ask(incoming("GET", "/chat")); a.Mode != config.Bypass {
		t.Errorf("got mode %s, want bypass, by the other's file", a.Mode)
	}
	f.open(t, f.one)
	if want := []gate.EventKind{gate.ControlSet}; !slices.Equal(f.told, want) {
		t.Errorf("told, after another gate has read the same file: got %v, want %v", f.told, want)
	}
}

func TestKinShowAsOne(t *testing.T) {
	var none gate.Kin
	if s := none.Status(); none.Ready() || none.Due() || none.ControlFile() != "" || len(none.Counters())+len(none.BindingCounts())+len(s.Routes) > 0 ||
		!config.Failed(none.SetControl(gate.Local, config.Control{Version: 1})) {
		t.Errorf("nobody there: got %+v, want nothing", s)
	}
	f := newFamily(t)
	f.two.change(func(d *desk) {
		d.policy["keys"].([]any)[0].(tree)["not_after"] = noon.Add(time.Minute).Format(time.RFC3339)
	})
	other := f.open(t, f.two)
	f.gateOne.Ask(genuine(t, "/pay"))
	other.Ask(genuine(t, "/chat"))
	other.Ask(genuine(t, "/pay"))
	s := f.kin.Status()
	var routes []string
	for _, route := range s.Routes {
		routes = append(routes, route.Name)
	}
	if got := strings.Join(routes, " "); got != "pay feed  chat " {
		t.Errorf("routes: got %q, want those of each", got)
	}
	if len(s.Keys) != 1 || s.Keys[0].Tokens != 3 || !s.Keys[0].Usable || !f.kin.Ready() {
		t.Errorf("keys: got %+v, want one that has opened three tokens", s.Keys)
	}
	passes := int64(0)
	for _, count := range f.kin.BindingCounts() {
		passes += count.Passes
	}
	if passes != 3 || len(f.kin.Counters()) != 3 {
		t.Errorf("counts: got %d passes and %v, want 3, on three routes", passes, f.kin.Counters())
	}
	f.two.after(time.Hour)
	if s := f.kin.Status(); s.Keys[0].Usable || f.kin.Ready() {
		t.Error("a key that has ended for one: got it usable and all ready, want the worse to show")
	}
	if !f.kin.Due() {
		t.Error("due: got false, want the use of keys to be looked at")
	}
}

// Two gates that use a key look at its use in turn; a minute must stay a minute.
func TestKinCountAKeysMinuteOnce(t *testing.T) {
	f := newFleet(t, nil)
	kin := &gate.Kin{}
	var gates []*gate.Gate
	for range 2 {
		o := f.options()
		o.Kin = kin
		g, problems := gate.New(o)
		if config.Failed(problems) {
			t.Fatal(problems)
		}
		gates = append(gates, g)
		f.pass(2 * time.Second) // so that they look at different moments
	}
	for second := range 120 {
		for _, g := range gates {
			if g.Due() {
				g.Poll(context.Background())
			}
		}
		gates[second%2].Ask(genuine(t, "/"))
		f.pass(time.Second)
	}
	if k := kin.Status().Keys[0]; k.Tokens != 120 || k.PerMinute < 55 || k.PerMinute > 65 {
		t.Errorf("got %d tokens, %d a minute; want 120, about 60", k.Tokens, k.PerMinute)
	}
}

// Gates come and go, are switched and asked, all at once: for the race detector, and nobody may wait for ever.
func TestKinAtOnce(t *testing.T) {
	f := newFamily(t)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for round := range 50 {
				o := f.two.options()
				o.Kin = &f.kin
				g, problems := gate.New(o)
				if config.Failed(problems) {
					t.Error(problems)
					return
				}
				g.SetControl(gate.Slot(worker%2), hour(config.Log, int64(round)))
				g.Ask(incoming("GET", "/chat"))
				f.kin.Status()
				g.Refresh()
				g.Close()
			}
		})
	}
	all.Wait()
	if got := modes(t, f.gateOne); got != "log log log" || f.kin.Control(gate.Local).Version != 49 {
		t.Errorf("got %s under version %d, want log under 49", got, f.kin.Control(gate.Local).Version)
	}
}
