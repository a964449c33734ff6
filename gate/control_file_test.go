package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
)

// fileFleet is a fleet whose gate reads a local control document.
func fileFleet(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, controlled)
	f.policy["control"] = tree{"file": f.controlFile()}
	return f
}

func (f *fleet) controlFile() string { return filepath.Join(f.dir, "control.json") }

// write writes the local control document with exactly these permissions.
func (f *fleet) write(t testing.TB, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(f.controlFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.controlFile(), mode); err != nil {
		t.Fatal(err)
	}
}

// until is a member that ends a document at noon and so many minutes.
func until(minutes int) string {
	return `"until": "` + noon.Add(time.Duration(minutes)*time.Minute).Format(time.RFC3339) + `"`
}

// A story in steps: what becomes of the file, and what the gate then does and tells.
func TestTheControlFile(t *testing.T) {
	f := fileFleet(t)
	f.start(t)
	for _, step := range []struct {
		name    string
		do      func()
		modes   string
		problem string   // in Status.FileProblem; empty: none
		events  []string // beginnings
	}{
		{"there is none", func() {}, "enforce log enforce", "", nil},
		{"it is put there", func() { f.write(t, `{"version": 1, "mode": "bypass", `+until(60)+`}`, 0o600) },
			"bypass bypass bypass", "", []string{"control_set local 1"}},
		{"nothing happens", func() {}, "bypass bypass bypass", "", nil},
		{"it is written again in other words", func() { f.write(t, `{"mode":"bypass", "version":"1", `+until(60)+`}`+"\n", 0o644) }, "bypass bypass bypass", "", nil},
		{"it is changed", func() { f.write(t, `{"version": 3, "routes": {"pay": "log"}, `+until(60)+`}`, 0o600) },
			"log log enforce", "", []string{"control_set local 3"}},
		{"it has the same version and other content", func() { f.write(t, `{"version": 3, "mode": "bypass", `+until(60)+`}`, 0o600) },
			"log log enforce", "version: 3 is not higher than 3", []string{"source_failing control.file: version: 3 is not higher"}},
		{"an older one comes", func() { f.write(t, `{"version": 1, "mode": "bypass", `+until(60)+`}`, 0o600) },
			"log log enforce", "version: 1 is not higher than 3", []string{"source_failing control.file: version: 1 is not higher"}},
		{"it is what is in force again", func() { f.write(t, `{"version": 3, "routes": {"pay": "log"}, `+until(60)+`}`, 0o600) },
			"log log enforce", "", []string{"source_recovered control.file"}},
		{"it is garbled", func() { f.write(t, `{"version": 4, "mode": "byp`, 0o600) }, "log log enforce", "is not strict JSON", []string{"source_failing control.file: is not strict JSON"}},
		{"it is garbled in the same way", func() { f.write(t, `{"version": 4,`, 0o600) }, "log log enforce", "is not strict JSON", nil},
		{"it is empty", func() { f.write(t, ``, 0o600) }, "log log enforce", "is empty", []string{"source_failing control.file: file "}},
		{"it is oversized", func() { f.write(t, strings.Repeat(" ", 65537), 0o600) }, "log log enforce", "more than 65536 bytes", []string{"source_failing control.file: file "}},
		{"others may write it", func() { f.write(t, `{"version": 5, "mode": "bypass", `+until(60)+`}`, 0o660) },
			"log log enforce", "can be written by others", []string{"source_failing control.file: file "}},
		{"its permissions are mended", func() { f.write(t, `{"version": 5, "mode": "bypass", `+until(60)+`}`, 0o600) },
			"bypass bypass bypass", "", []string{"control_set local 5", "source_recovered control.file"}},
		{"a looser one has no end", func() { f.write(t, `{"version": 6, "mode": "log"}`, 0o600) },
			"bypass bypass bypass", "until: is missing", []string{"source_failing control.file: until: is missing"}},
		{"it is gone: what it said stays, what was wrong with it does not", func() {
			if err := os.Remove(f.controlFile()); err != nil {
				t.Fatal(err)
			}
		}, "bypass bypass bypass", "", []string{"source_recovered control.file"}},
		{"a policy comes that has not read it yet", func() { f.change(func(d *desk) { d.policy["deny_issuers"] = "x" }) }, "bypass bypass bypass", "", nil},
		{"its end comes", func() { f.pass(time.Hour); f.poll() }, "enforce log enforce", "", []string{"control_ended local 5"}},
		{"an old one comes back", func() { f.write(t, `{"version": 5, "mode": "bypass", `+until(60)+`}`, 0o600) }, "enforce log enforce", "", nil},
		{"one comes that has ended", func() { f.write(t, `{"version": 6, "mode": "bypass", `+until(59)+`}`, 0o600) },
			"enforce log enforce", "", []string{"control_cleared local 6: until: has passed"}},
		{"an empty one clears", func() { f.write(t, `{"version": 7}`, 0o600) }, "enforce log enforce", "", []string{"control_cleared local 7"}},
	} {
		step.do()
		if problems := f.g.Refresh(); config.Failed(problems) {
			t.Errorf("%s: got problems %v, want warnings alone", step.name, problems)
		}
		if got := modes(t, f.g); got != step.modes {
			t.Errorf("%s: got %s, want %s", step.name, got, step.modes)
		}
		got := f.g.Status().FileProblem
		if !strings.Contains(got, step.problem) || step.problem == "" && got != "" {
			t.Errorf("%s: got problem %q, want %q in it", step.name, got, step.problem)
		}
		f.wantEvents(t, step.name, step.events...)
	}
}

func TestTheControlFileAtTheStart(t *testing.T) {
	for _, row := range []struct {
		name, text, modes, event string
	}{
		{"a good one is in force from the first request on", `{"version": 9, "mode": "bypass", ` + until(1) + `}`, "bypass bypass bypass", "control_set local 9"},
		{"one that has ended changes nothing", `{"version": 9, "mode": "bypass", ` + until(0) + `}`, "enforce log enforce", "control_cleared local 9"},
		{"a garbled one keeps no gate from starting", `{"version"`, "enforce log enforce", "source_failing control.file"},
	} {
		f := fileFleet(t)
		f.write(t, row.text, 0o600)
		f.start(t)
		if got := modes(t, f.g); got != row.modes {
			t.Errorf("%s: got %s, want %s", row.name, got, row.modes)
		}
		f.wantEvents(t, row.name, row.event)
	}
}

// What the admin interface has put into force it then writes into the file, where it is seen again.
func TestTheControlFileThatTheAdminInterfaceWrites(t *testing.T) {
	f := fileFleet(t)
	f.start(t)
	if problems := f.g.SetControl(gate.Local, hour(config.Log, 2)); config.Failed(problems) {
		t.Fatal(problems)
	}
	f.wantEvents(t, "set", "control_set local 2")
	for _, text := range []string{`{"version": 2, "mode": "log", ` + until(60) + `}`, `{"mode": "log", "version": 2, "until": "2030-01-31T14:00:00+01:00"}`} {
		f.write(t, text, 0o600)
		f.g.Refresh()
		if problem := f.g.Status().FileProblem; problem != "" || modes(t, f.g) != "log log log" {
			t.Errorf("the same in the file: got %s and problem %q, want log and none", modes(t, f.g), problem)
		}
		f.wantEvents(t, "the same in the file")
	}
	if problems := f.g.SetControl(gate.Local, config.Control{Version: 3}); config.Failed(problems) {
		t.Fatal(problems)
	}
	f.g.Refresh() // the file could not be written, and still has version 2
	if problem := f.g.Status().FileProblem; problem != "" || modes(t, f.g) != "enforce log enforce" {
		t.Errorf("an older one in the file: got %s and problem %q, want the policy's modes and none", modes(t, f.g), problem)
	}
	f.wantEvents(t, "resumed", "control_cleared local 3")
}

// A document may name a route that the policy gets later.
func TestTheControlFileThatIsAheadOfThePolicy(t *testing.T) {
	f := fileFleet(t)
	f.start(t)
	f.write(t, `{"version": 1, "routes": {"new": "bypass"}, `+until(60)+`}`, 0o600)
	f.g.Refresh()
	f.wantEvents(t, "before", "source_failing control.file: routes.new: the policy has no route of this name")
	f.change(func(d *desk) { d.policy["routes"] = []any{tree{"name": "new", "paths": "/pay"}} })
	f.g.Refresh()
	if got := modes(t, f.g); got != "bypass enforce enforce" || f.g.Status().FileProblem != "" {
		t.Errorf("with the route: got %s and problem %q, want bypass on it and none", got, f.g.Status().FileProblem)
	}
	f.wantEvents(t, "with the route", "control_set local 1", "source_recovered control.file")
}

// A policy that cannot be used neither keeps anybody from switching, nor names another file.
func TestTheControlFileBesideABrokenPolicy(t *testing.T) {
	for name, spoil := range map[string]func(d *desk){
		"an unknown key":   func(d *desk) { d.policy["unknown"] = true },
		"a missing secret": func(d *desk) { delete(d.secrets, "env:ACCOUNT") },
	} {
		f := fileFleet(t)
		f.start(t)
		f.write(t, `{"version": 1, "mode": "bypass", `+until(60)+`}`, 0o600)
		f.change(spoil)
		f.change(func(d *desk) { d.policy["control"] = tree{"file": f.controlFile() + "x"} })
		if problems := f.g.Refresh(); !config.Failed(problems) || modes(t, f.g) != "bypass bypass bypass" {
			t.Errorf("%s: got %s and problems %v, want a problem and the bypass", name, modes(t, f.g), problems)
		}
	}
}

func TestTheControlFileInYAML(t *testing.T) {
	f := fileFleet(t)
	o := f.options()
	o.ParseControl = host.ParseTree
	g, problems := gate.New(o)
	if g == nil {
		t.Fatal(problems)
	}
	f.write(t, "version: 1\nroutes:\n  pay: log\n  feed: {mode: enforce, rollout: 50}\nuntil: 2030-01-31T13:00:00Z\nreason: INC-42\n", 0o600)
	g.Refresh()
	want := config.Control{Version: 1, Until: noon.Add(time.Hour), Reason: "INC-42",
		Routes: map[string]config.Override{"pay": {Mode: config.Log}, "feed": {Mode: config.Enforce, Rollout: 50, HasRollout: true}}}
	if got := g.Control(gate.Local); !got.Same(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	f.write(t, "version: 2\nmode: {\n", 0o600)
	g.Refresh()
	if problem := g.Status().FileProblem; problem == "" || g.Control(gate.Local).Version != 1 {
		t.Errorf("garbled: got problem %q and version %d, want one and the old version", problem, g.Control(gate.Local).Version)
	}
}

// A file that cannot be looked at is no file that is gone.
func TestTheControlFileInAPlaceThatCannotBeLookedInto(t *testing.T) {
	f := fileFleet(t)
	f.start(t)
	blocked := filepath.Join(f.dir, "control.json")
	if err := os.WriteFile(blocked, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.change(func(d *desk) { d.policy["control"] = tree{"file": filepath.Join(blocked, "control.json")} })
	f.g.Refresh()
	if problem := f.g.Status().FileProblem; !strings.Contains(problem, "not a directory") {
		t.Errorf("got problem %q, want one that says why", problem)
	}
}
