package gate_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/source"
)

func hour(mode config.Mode, version int64) config.Control {
	return config.Control{Version: version, Override: config.Override{Mode: mode}, Until: noon.Add(time.Hour)}
}

// modes are the modes in force for the routes pay and feed and for what no route matches.
func modes(t *testing.T, g *gate.Gate) string {
	t.Helper()
	var all []string
	for _, target := range []string{"/pay", "/feed", "/"} {
		all = append(all, string(g.Ask(incoming("GET", target)).Mode))
	}
	if status := g.Status().Mode; string(status) != all[2] {
		t.Errorf("status: got mode %s, want %s", status, all[2])
	}
	return strings.Join(all, " ")
}

var controlled = tree{"routes": []any{tree{"name": "pay", "paths": "/pay"}, tree{"name": "feed", "paths": "/feed", "mode": "log"}}}

func TestControlIsInForceUntilItEnds(t *testing.T) {
	d := newDesk(controlled)
	g := d.open(t)
	for _, row := range []struct {
		name    string
		after   time.Duration
		slot    gate.Slot
		control config.Control // version 0: none is set
		want    string
	}{
		{"the policy alone", 0, 0, config.Control{}, "enforce log enforce"},
		{"a remote override", 0, gate.Remote, hour(config.Log, 1), "log log log"},
		{"a local one wins", time.Minute, gate.Local, config.Control{Version: 1, Override: config.Override{Mode: config.Bypass}, Until: noon.Add(10 * time.Minute)}, "bypass bypass bypass"},
		{"just before its end", 10*time.Minute - 1, 0, config.Control{}, "bypass bypass bypass"},
		{"at its end the remote one is back", 10 * time.Minute, 0, config.Control{}, "log log log"},
		{"at the end of both the policy is back", time.Hour, 0, config.Control{}, "enforce log enforce"},
		{"a stricter one may be endless", time.Hour, gate.Local, config.Control{Version: 2, Routes: map[string]config.Override{"feed": {Mode: config.Enforce}}}, "enforce enforce enforce"},
		{"even years later", 50000 * time.Hour, 0, config.Control{}, "enforce enforce enforce"},
		{"an empty one resumes", 50000 * time.Hour, gate.Local, config.Control{Version: 3}, "enforce log enforce"},
	} {
		d.after(row.after)
		if row.control.Version > 0 {
			if problems := g.SetControl(row.slot, row.control); config.Failed(problems) {
				t.Fatalf("%s: got problems %v, want none", row.name, problems)
			}
		}
		if got := modes(t, g); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// The clock may be set forward and back. What rules is always what the wall clock says, also when the gate has
// taken new keys into force meanwhile; and whoever reads the log knows.
func TestControlFollowsAClockThatIsSet(t *testing.T) {
	d := newDesk(controlled)
	var told []gate.EventKind
	o := d.options()
	o.Notify = func(e gate.Event) { told = append(told, e.Kind) }
	g, problems := gate.New(o)
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	g.SetControl(gate.Remote, hour(config.Log, 1))
	for i, row := range []struct {
		name  string
		after time.Duration
		want  string
	}{
		{"before the end", time.Minute, "log log log"},
		{"set forward, to after the end", 2 * time.Hour, "enforce log enforce"},
		{"and back", time.Minute, "log log log"},
		{"far back", -50000 * time.Hour, "log log log"},
		{"far forward", 50000 * time.Hour, "enforce log enforce"},
		{"and back again", 2 * time.Minute, "log log log"},
	} {
		d.after(row.after)
		for _, when := range []string{"", ", with new keys"} {
			if when != "" {
				d.change(func(d *desk) {
					d.secrets["env:ACCOUNT"] = base64.StdEncoding.EncodeToString(testKey(strconv.Itoa(i)))
				})
				if problems := g.Refresh(); config.Failed(problems) {
					t.Fatal(problems)
				}
			}
			g.Poll(t.Context())
			if got := modes(t, g); got != row.want {
				t.Errorf("%s%s: got %s, want %s", row.name, when, got, row.want)
			}
		}
	}
	want := []gate.EventKind{gate.ControlSet, gate.ControlEnded, gate.ControlSet, gate.ControlEnded, gate.ControlSet}
	if !slices.Equal(told, want) {
		t.Errorf("got told of %v, want %v", told, want)
	}
}

func TestControlVersionsNeverRollBack(t *testing.T) {
	g := openGate(t, controlled)
	for _, row := range []struct {
		name    string
		slot    gate.Slot
		control config.Control
		taken   bool
	}{
		{"the first", gate.Local, hour(config.Log, 5), true},
		{"the same again", gate.Local, hour(config.Bypass, 5), false},
		{"an older one", gate.Local, hour(config.Bypass, 4), false},
		{"version zero", gate.Remote, hour(config.Log, 0), false},
		{"the other slot has its own sequence", gate.Remote, hour(config.Log, 1), true},
		{"a refused one uses no version up", gate.Local, config.Control{Version: 9, Override: config.Override{Mode: config.Bypass}}, false},
		{"a newer one", gate.Local, hour(config.Bypass, 6), true},
		{"resume", gate.Local, config.Control{Version: 7}, true},
		{"a replay of what was resumed from", gate.Local, hour(config.Bypass, 6), false},
	} {
		problems := g.SetControl(row.slot, row.control)
		if taken := !config.Failed(problems); taken != row.taken {
			t.Errorf("%s: got taken %v with problems %v, want %v", row.name, taken, problems, row.taken)
		}
	}
	if got := modes(t, g); got != "log log log" {
		t.Errorf("after all: got %s, want the remote override", got)
	}
}

func TestControlThatThePolicyDoesNotAllow(t *testing.T) {
	g := openGate(t, controlled)
	for _, row := range []struct {
		name    string
		slot    gate.Slot
		control config.Control
		path    string
	}{
		{"an endless bypass", gate.Local, config.Control{Version: 1, Override: config.Override{Mode: config.Bypass}}, "until"},
		{"an endless looser route", gate.Local, config.Control{Version: 1, Routes: map[string]config.Override{"pay": {Mode: config.Log}}}, "until"},
		{"a stricter remote one without end", gate.Remote, config.Control{Version: 1, Override: config.Override{Mode: config.Enforce}}, "until"},
		{"an unknown route", gate.Local, config.Control{Version: 1, Routes: map[string]config.Override{"pya": {Mode: config.Log}}, Until: noon.Add(time.Hour)}, "routes.pya"},
		{"an unknown mode", gate.Local, config.Control{Version: 1, Override: config.Override{Mode: "off"}, Until: noon.Add(time.Hour)}, "mode"},
	} {
		problems := g.SetControl(row.slot, row.control)
		if !config.Failed(problems) || problems[0].Path != row.path {
			t.Errorf("%s: got problems %v, want one at %s", row.name, problems, row.path)
		}
	}
	if got := modes(t, g); got != "enforce log enforce" {
		t.Errorf("after all: got %s, want the policy's modes", got)
	}
}

// A remote document may name routes that others have. What it says of the gate's own must be right.
func TestRemoteControlOfARouteWithAnOddName(t *testing.T) {
	g := openGate(t, tree{"routes": []any{tree{"name": "a b", "paths": "/pay"}}})
	control := config.Control{Version: 1, Routes: map[string]config.Override{"a b": {Mode: "off"}, "c d": {Mode: "off"}}, Until: noon.Add(time.Hour)}
	if problems := g.SetControl(gate.Remote, control); !config.Failed(problems) {
		t.Errorf("got problems %v, want the unknown mode refused", problems)
	}
	delete(control.Routes, "a b")
	if problems := g.SetControl(gate.Remote, control); config.Failed(problems) || len(problems) != 1 {
		t.Errorf("got problems %v, want one warning", problems)
	}
}

func TestControlOutlivesAPolicy(t *testing.T) {
	d := newDesk(controlled)
	g := d.open(t)
	control := config.Control{Version: 1, Override: config.Override{Mode: config.Log}, Routes: map[string]config.Override{"pay": {Mode: config.Bypass}}, Until: noon.Add(time.Hour)}
	if problems := g.SetControl(gate.Local, control); config.Failed(problems) {
		t.Fatal(problems)
	}
	d.change(func(d *desk) { d.policy["routes"] = []any{tree{"name": "feed", "paths": "/feed"}} })
	if problems := g.Refresh(); config.Failed(problems) {
		t.Fatalf("a policy without the route that control names: got %v, want no problem", problems)
	}
	if got := modes(t, g); got != "log log log" {
		t.Errorf("under another policy: got %s, want the override's mode", got)
	}
	d.after(time.Hour)
	if got := modes(t, g); got != "enforce enforce enforce" {
		t.Errorf("at its end: got %s, want the policy's modes", got)
	}
}

// An override without an end may be no looser than the policy. It must not become so when a stricter
// policy comes.
func TestAnEndlessControlNeverLoosensALaterPolicy(t *testing.T) {
	d := newDesk(tree{"mode": "log"})
	g := d.open(t)
	if problems := g.SetControl(gate.Local, config.Control{Version: 1, Override: config.Override{Mode: config.Log}}); config.Failed(problems) {
		t.Fatalf("an override that changes nothing: got %v, want no problem", problems)
	}
	d.change(func(d *desk) { d.policy["mode"] = "enforce" })
	if problems := g.Refresh(); config.Failed(problems) {
		t.Fatal(problems)
	}
	if got := modes(t, g); got != "enforce enforce enforce" {
		t.Errorf("under a stricter policy: got %s, want its modes", got)
	}
}

// Whoever replaces the control file asks first what somebody has written there meanwhile.
func TestRefreshControlReadsTheFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.json")
	d := newDesk(tree{"control": tree{"file": path}})
	o := d.options()
	o.Read = func(reference string) ([]byte, []string, error) {
		if reference == "file:"+path {
			return source.Read(reference)
		}
		return d.read(reference)
	}
	g, problems := gate.New(o)
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	if got := g.ControlFile(); got != path {
		t.Errorf("got the file %q, want %q", got, path)
	}
	for _, row := range []struct {
		name, text string
		version    int64
		problem    string
	}{
		{"a first document", `{"version": 1, "mode": "log", "until": "2030-01-31T13:00:00Z"}`, 1, ""},
		{"a refused one", `{"version": 2, "mode": "log"}`, 1, "until: is missing"},
		{"one that is no JSON", `{"version": 3`, 1, "is not strict JSON"},
		{"a newer one", `{"version": 4}`, 4, ""},
	} {
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d.change(func(d *desk) { d.policy["mode"] = "bypass" }) // which a refresh of everything would take up
		g.RefreshControl()
		status := g.Status()
		if status.Local.Version != row.version || !strings.HasPrefix(status.FileProblem, row.problem) || row.problem == "" && status.FileProblem != "" {
			t.Errorf("%s: got version %d and problem %q, want %d and %q", row.name, status.Local.Version, status.FileProblem, row.version, row.problem)
		}
	}
	if status := g.Status(); status.Mode != config.Enforce || status.Generation != 1 {
		t.Errorf("got mode %s and generation %d, want the policy as it was", status.Mode, status.Generation)
	}
}
