package host

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/source"
)

func TestChangesThatCannotBeKept(t *testing.T) {
	d := newDesk(t, adminPolicy)
	folder := filepath.Dir(d.file)
	lose := func() { do(t, os.RemoveAll(folder)) }
	give := func() { do(t, os.Mkdir(folder, 0o700)) }
	lose()
	a := d.put(`{"mode": "bypass", "for": "15m"}`)
	want := "control.file: " + d.file + " cannot be written: no such file or directory; check its folder; the change is in force, but a restart would forget it"
	if !reflect.DeepEqual(a.body.Warnings, []string{want}) || a.body.InForce != "local" || d.modes() != "bypass bypass bypass" {
		t.Errorf("a change that cannot be written: got %s, want it in force, with the warning %q", a.text, want)
	}
	for _, path := range []string{"/control", "/status"} {
		if got := d.ask("GET", path, "").text; !strings.Contains(got, "cannot be written: no such file or directory") {
			t.Errorf("%s meanwhile: got %s, want it to say so", path, got)
		}
	}
	give()
	eventually(t, "the change on disk", func() bool { return d.saves.failing() == "" })
	if got := d.kept(); !got.Same(d.Gate.Control(gate.Local)) {
		t.Errorf("kept: got %+v, want what is in force", got)
	}
	if got := d.ask("GET", "/control", "").text + d.ask("GET", "/status", "").text; strings.Contains(got, "cannot be written") {
		t.Errorf("after that: got %s, want no warning", got)
	}
	if failing, well := len(d.log.lines("control is not kept on disk")), len(d.log.lines("control is kept on disk again")); failing != 1 || well != 1 {
		t.Errorf("the log: got %d lines that it fails and %d that it does again, want one of each however often it was tried", failing, well)
	}

	lose()
	d.put(`{"mode": "log", "for": "15m"}`)
	if a := d.put(`{"mode": "enforce"}`); len(a.body.Warnings) != 1 {
		t.Errorf("the next change: got %s, want its own warning and not that of the one before too", a.text)
	}
	give()
	eventually(t, "the newest change on disk", func() bool { return d.saves.failing() == "" })
	if got := d.kept(); got.Version != 3 {
		t.Errorf("kept: got version %d, want 3, the newest", got.Version)
	}
}

// Somebody repairs the folder and puts a document of their own there, before the change is tried again.
func TestChangesThatWaitAreSuperseded(t *testing.T) {
	d := newDesk(t, adminPolicy, func(a *Admin) { a.Retry = time.Hour })
	do(t, os.RemoveAll(filepath.Dir(d.file)))
	d.put(`{"mode": "bypass", "for": "15m"}`)
	do(t, os.Mkdir(filepath.Dir(d.file), 0o700), os.WriteFile(d.file, []byte("version: 9\nmode: enforce\nby: hand\n"), 0o600))
	d.saves.woken() <- struct{}{} // the hour is over
	eventually(t, "what the hand wrote in force, and nothing left to write", func() bool {
		return d.Gate.Control(gate.Local).Version == 9 && d.saves.failing() == ""
	})
	if got := d.kept(); got.By != "hand" {
		t.Errorf("kept: got %+v, want what the hand wrote", got)
	}
}

// A disk that hangs holds up no change, and when it is back, the newest one is on it.
func TestChangesDoNotWaitForADiskThatHangs(t *testing.T) {
	back := make(chan struct{})
	d := newDesk(t, adminPolicy, func(a *Admin) {
		a.saves.write = func(path string, c config.Control) error {
			<-back
			return SaveControl(path, c)
		}
	})
	for _, mode := range []string{"bypass", "log"} {
		a := d.put(`{"mode": "` + mode + `", "for": "15m"}`)
		if len(a.body.Warnings) != 1 || !strings.HasPrefix(a.body.Warnings[0], "control.file is not written after 2s") || d.modes() != mode+" "+mode+" "+mode {
			t.Errorf("%s: got %s, want it in force, with a warning", mode, a.text)
		}
	}
	close(back)
	eventually(t, "the newest change on disk", func() bool {
		_, err := os.Stat(d.file)
		return err == nil && d.kept().Version == 2
	})
}

func TestSaveControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.json")
	many := config.Control{Version: 1, Routes: map[string]config.Override{}}
	for i := range 4000 {
		many.Routes[fmt.Sprint("route-", i)] = config.Override{Mode: config.Log}
	}
	do(t, SaveControl(path, config.Control{Version: 1}))
	if err := SaveControl(path, many); err == nil || !strings.Contains(err.Error(), "at most 65536 are read") {
		t.Errorf("a document that could not be read again: got %v, want an error", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "{\"version\":1}\n" {
		t.Errorf("got %q, %v, want the document before", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
	if err := SaveControl(filepath.Join(path, "x"), config.Control{Version: 2}); err == nil || strings.Contains(err.Error(), ".approovgate-") {
		t.Errorf("a folder that is none: got %v, want an error that does not name a file nobody knows", err)
	}
	do(t, os.Mkdir(path+".d", 0o700))
	if err := SaveControl(path+".d", config.Control{Version: 2}); err == nil || !strings.Contains(err.Error(), "cannot be written: ") || strings.Contains(err.Error(), ".approovgate-") {
		t.Errorf("a file that is a folder: got %v, want an error that does not name a file nobody knows", err)
	}
}

// FuzzSaveControl keeps documents. Oracle: what is read from the file again, as YAML and as JSON, says the same.
func FuzzSaveControl(f *testing.F) {
	f.Add("log", 25, "transfers", int64(1900000000), "INC-42", "ops")
	f.Add("", -1, "<<", int64(0), "\ufeff \uffff \U0001f600 \\ \" ' : # & * ! é", "~")
	f.Add("bypass", 0, "yes", int64(-1), "", "")
	path := filepath.Join(f.TempDir(), "control.json")
	f.Fuzz(func(t *testing.T, mode string, rollout int, route string, until int64, reason, by string) {
		tree := map[string]any{"version": 7, "reason": reason, "by": by}
		if mode != "" {
			tree["mode"] = mode
		}
		if route != "" {
			tree["routes"] = map[string]any{route: "log"}
		}
		if rollout >= 0 {
			tree["rollout"] = rollout
		}
		if until != 0 {
			tree["until"] = time.Unix(until, until%1e9)
		}
		want, problems := config.DecodeControl(tree)
		_, found := config.Decode(map[string]any{"keys": []any{map[string]any{"name": "a", "alg": "HS256", "secret": "env:X"}},
			"routes": []any{map[string]any{"name": route, "paths": []any{"/"}}}})
		if config.Failed(problems) || route != "" && config.Failed(found) {
			return // a policy has no such route
		}
		do(t, SaveControl(path, want))
		text, _, err := source.Read("file:" + path)
		do(t, err)
		for form, parse := range map[string]func([]byte) (map[string]any, []config.Problem){"YAML": ParseTree, "JSON": gate.ParseJSON} {
			tree, problems := parse(text)
			got, found := config.DecodeControl(tree)
			if problems = append(problems, found...); config.Failed(problems) || !got.Same(want) {
				t.Errorf("%s as %s: got %+v with problems %v, want %+v", text, form, got, problems, want)
			}
		}
	})
}

// TestKilledWhileWriting kills a process that does nothing but keep documents, until it was often enough between
// writing one and putting it in the place of the last.
func TestKilledWhileWriting(t *testing.T) {
	const folder = "APPROOVGATE_TEST_KEEP_IN"
	document := func(version int64) config.Control {
		return config.Control{Version: version, Override: config.Override{Mode: config.Log}, Until: noon, Reason: strings.Repeat(fmt.Sprint(version%10), 500)}
	}
	if dir := os.Getenv(folder); dir != "" {
		for version := int64(2); ; version++ { // until it is killed
			do(t, SaveControl(filepath.Join(dir, "control.json"), document(version)))
			if version == 2 {
				fmt.Println("begun")
			}
		}
	}
	const enough = 5
	dir := t.TempDir()
	path := filepath.Join(dir, "control.json")
	do(t, SaveControl(path, document(1)))
	deadline := time.Now().Add(2 * patience)
	for kills, between := 0, 0; between < enough; kills++ {
		if time.Now().After(deadline) {
			t.Fatalf("got %d of %d kills between writing and renaming, want %d", between, kills, enough)
		}
		keepUntilKilled(t, folder+"="+dir, time.Duration(kills%20)*100*time.Microsecond)
		tree, problems := ReadTree(path)
		got, found := config.DecodeControl(tree)
		if problems = append(problems, found...); config.Failed(problems) || !got.Same(document(got.Version)) {
			t.Fatalf("after %d kills: got %+v with problems %v, want one of the documents, whole", kills, got, problems)
		}
		left, err := filepath.Glob(filepath.Join(dir, ".approovgate-*"))
		do(t, err)
		for _, one := range left {
			between++
			do(t, os.Remove(one))
		}
	}
}

// keepUntilKilled runs this test as a process that keeps documents, and kills it after some of them.
func keepUntilKilled(t *testing.T, environment string, after time.Duration) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run", "^TestKilledWhileWriting$")
	command.Env = append(os.Environ(), environment)
	out, err := command.StdoutPipe()
	do(t, err)
	do(t, command.Start())
	begun := make([]byte, 64)
	n, _ := out.Read(begun) // what there is instead shows below
	<-time.After(after)     // no moment is better than another
	do(t, command.Process.Kill())
	_ = command.Wait() // killed: the error says so
	if !bytes.HasPrefix(begun[:n], []byte("begun")) {
		t.Fatalf("the process that keeps documents: got %q, want it to begin", begun[:n])
	}
}
