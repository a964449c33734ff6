package host

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

func TestControlIsShownChangedAndResumed(t *testing.T) {
	d := newDesk(t, adminPolicy)
	a := d.ask("GET", "/control", "")
	if a.text != "{\n  \"in_force\": \"policy\"\n}\n" || a.header.Get("ETag") != `"0"` || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("at first: got %v %q, want the policy in force, ETag \"0\" and no document", a.header, a.text)
	}
	a = d.put(`{"mode": "bypass", "rollout": 25, "routes": {"transfers": "log"}, "for": "15m", "reason": "INC-42", "by": "ops"}`)
	want := `{
  "in_force": "local",
  "local": {
    "version": 1,
    "mode": "bypass",
    "rollout": 25,
    "routes": {
      "transfers": {
        "mode": "log"
      }
    },
    "until": "2030-01-31T12:15:00Z",
    "reason": "INC-42",
    "by": "ops",
    "in_force": true
  }
}
`
	if a.text != want || a.header.Get("ETag") != `"1"` {
		t.Errorf("after a change: got ETag %s and\n%s, want \"1\" and\n%s", a.header.Get("ETag"), a.text, want)
	}
	if again := d.ask("GET", "/control", ""); again.text != want {
		t.Errorf("GET after it: got\n%s, want the same", again.text)
	}
	if got := d.modes(); got != "log bypass bypass" {
		t.Errorf("modes: got %s, want those of the change", got)
	}
	if got := d.kept(); !got.Same(d.Gate.Control(gate.Local)) {
		t.Errorf("kept: got %+v, want what is in force", got)
	}
	a = d.ask("DELETE", "/control", `{"reason": "INC-42 is over", "by": "ops"}`)
	if local := a.body.Local; a.status != 200 || a.body.InForce != "policy" || local == nil || local.Version != 2 || local.InForce ||
		local.Mode != "" || local.Reason != "INC-42 is over" || a.header.Get("ETag") != `"2"` || a.body.Warnings != nil {
		t.Errorf("DELETE: got %d %s, want an empty document of version 2", a.status, a.text)
	}
	if got := d.modes(); got != "enforce log enforce" {
		t.Errorf("modes: got %s, want the policy's", got)
	}
	if got := d.kept(); got.Version != 2 || !got.Empty() {
		t.Errorf("kept: got %+v, want the empty document", got)
	}
	if a = d.ask("DELETE", "/control", ""); a.status != 200 || a.body.Local.Version != 3 {
		t.Errorf("DELETE without content: got %d %s, want version 3", a.status, a.text)
	}
	if a = d.put(`{}`); a.body.Local.Version != 4 || a.body.InForce != "policy" {
		t.Errorf("PUT of an empty document: got %s, want version 4, which resumes too", a.text)
	}
}

func TestControlEnds(t *testing.T) {
	d := newDesk(t, adminPolicy)
	d.put(`{"mode": "log", "until": "2030-01-31T12:00:10Z"}`)
	remote := config.Control{Version: 7, Override: config.Override{Mode: config.Bypass}, Until: noon.Add(time.Hour)}
	if problems := d.Gate.SetControl(gate.Remote, remote); config.Failed(problems) {
		t.Fatal(problems)
	}
	for _, row := range []struct {
		after         time.Duration
		inForce       string
		local, remote bool
	}{{0, "local", true, false}, {10*time.Second - 1, "local", true, false}, {1, "remote", false, true}, {time.Hour, "policy", false, false}} {
		d.clocks.pass(row.after, 0)
		a := d.ask("GET", "/control", "")
		if a.body.InForce != row.inForce || a.body.Local.InForce != row.local || a.body.Remote.InForce != row.remote || a.body.Remote.Version != 7 {
			t.Errorf("at %s: got %s, want %s in force", d.clocks.now(), a.text, row.inForce)
		}
	}
}

func TestWarningsOfAChange(t *testing.T) {
	d := newDesk(t, adminPolicy)
	unkept := newDesk(t, strings.Replace(adminPolicy, `"state/control.json"`, `""`, 1))
	for _, row := range []struct {
		name          string
		d             *desk
		method        string
		content, want string
	}{
		{"an end that has passed", d, "PUT", `{"mode": "bypass", "until": "2030-01-31T11:59:59Z"}`, "[until: has passed; the policy's own modes apply]"},
		{"a route that control does not touch", d, "PUT", `{"routes": {"health": "bypass"}}`, "[routes.health: the route has check: none, which control does not touch; delete it]"},
		{"nothing to warn of", d, "PUT", `{"mode": "enforce"}`, "[]"},
		{"no control.file", unkept, "PUT", `{"mode": "bypass", "for": "1m"}`, "[the policy names no control.file; the change is in force, but a restart would forget it]"},
		{"no control.file, but nothing to forget", unkept, "DELETE", ``, "[]"},
	} {
		a := row.d.ask(row.method, "/control", row.content)
		if got := fmt.Sprint(a.body.Warnings); a.status != 200 || got != row.want {
			t.Errorf("%s: got %d and %s, want 200 and %s", row.name, a.status, got, row.want)
		}
	}
}

func TestIfMatch(t *testing.T) {
	d := newDesk(t, adminPolicy)
	d.put(`{"mode": "enforce"}`)
	d.put(`{"mode": "enforce"}`)
	for _, row := range []struct {
		name    string
		lines   []string
		changed bool
	}{
		{"the version in force", []string{`If-Match: "2"`}, true},
		{"the one before", []string{`If-Match: "2"`}, false},
		{"one to come", []string{`If-Match: "4"`}, false},
		{"a list that has it", []string{`If-Match: "1", "3" ,"9"`}, true},
		{"several lines", []string{`If-Match: "1"`, `If-Match: "4"`}, true},
		{"any", []string{`If-Match: *`}, true},
		{"a weak tag", []string{`If-Match: W/"6"`}, false},
		{"no quotes", []string{`If-Match: 6`}, false},
		{"another number of the same value", []string{`If-Match: "06"`}, false},
		{"none", nil, true},
	} {
		for _, method := range []string{"PUT", "DELETE"} {
			before := d.Gate.Control(gate.Local)
			if method == "DELETE" && row.changed {
				continue // which would move the versions on; a DELETE that matches is below
			}
			content := map[string]string{"PUT": `{"mode": "enforce"}`}[method]
			a := d.ask(method, "/control", content, row.lines...)
			if row.changed {
				if want := fmt.Sprintf("%q", fmt.Sprint(before.Version+1)); a.status != 200 || a.header.Get("ETag") != want {
					t.Errorf("%s: got %d and ETag %s, want 200 and %s", row.name, a.status, a.header.Get("ETag"), want)
				}
				continue
			}
			if a.status != http.StatusPreconditionFailed || a.body.Problems[0].Path != "If-Match" || a.header.Get("ETag") != tag(before.Version) {
				t.Errorf("%s, %s: got %d %q, want 412 and the ETag that is there", row.name, method, a.status, a.text)
			}
			if now := d.Gate.Control(gate.Local); !now.Same(before) {
				t.Errorf("%s, %s: got version %d, want no change", row.name, method, now.Version)
			}
		}
	}
	if a := d.ask("DELETE", "/control", "", `If-Match: `+tag(d.Gate.Control(gate.Local).Version)); a.status != 200 {
		t.Errorf("DELETE of the version in force: got %d, want 200", a.status)
	}
}

// Everybody adds 1 to the percentage that is there, as a person would who reads it first.
func TestConcurrentChangesLoseNone(t *testing.T) {
	const people, each = 6, 8
	d := newDesk(t, strings.Replace(adminPolicy, `"name": "edge"`, `"rollout": 0`, 1))
	d.put(`{"rollout": 0}`)
	var all sync.WaitGroup
	var mu sync.Mutex
	var versions []int64 // guarded by mu
	for range people {
		all.Go(func() {
			for done := 0; done < each; {
				was := d.ask("GET", "/control", "")
				now := d.ask("PUT", "/control", fmt.Sprintf(`{"rollout": %d}`, *was.body.Local.Rollout+1), "If-Match: "+was.header.Get("ETag"))
				if now.status == http.StatusPreconditionFailed {
					continue
				}
				if now.status != http.StatusOK {
					t.Errorf("got %d %s, want 200 or 412", now.status, now.text)
					return
				}
				done++
				mu.Lock()
				versions = append(versions, now.body.Local.Version)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(versions)
	if len(slices.Compact(versions)) != people*each {
		t.Errorf("got versions %v, want %d different ones", versions, people*each)
	}
	got := d.Gate.Control(gate.Local)
	if got.Rollout != people*each || got.Version != 1+people*each {
		t.Errorf("got rollout %d and version %d, want %d and %d", got.Rollout, got.Version, people*each, 1+people*each)
	}
	if kept := d.kept(); !kept.Same(got) {
		t.Errorf("kept: got %+v, want %+v", kept, got)
	}
}

func TestConcurrentChangesWithoutConditionRise(t *testing.T) {
	const people, each = 6, 8
	d := newDesk(t, adminPolicy)
	var all sync.WaitGroup
	for who := range people {
		all.Go(func() {
			last := int64(0)
			for i := range each {
				a := d.ask([]string{"PUT", "DELETE"}[i%2], "/control", fmt.Sprintf(`{"reason": "%d"}`, who))
				if a.status != http.StatusOK || a.body.Local.Version <= last {
					t.Errorf("got %d and version %d after %d, want a higher one", a.status, a.body.Local.Version, last)
				}
				last = a.body.Local.Version
			}
		})
	}
	all.Wait()
	if got := d.Gate.Control(gate.Local); got.Version != people*each || !d.kept().Same(got) {
		t.Errorf("got version %d, kept %d; want %d and the same", got.Version, d.kept().Version, people*each)
	}
	var versions []float64
	for _, line := range d.log.lines("control cleared") {
		versions = append(versions, line["version"].(float64))
	}
	if !slices.IsSorted(versions) || len(slices.Compact(versions)) != people*each {
		t.Errorf("the log: got versions %v, want each once, rising", versions)
	}
}

// Somebody edits the file and the gate has not looked at it yet.
func TestChangesAndHandsOnTheFile(t *testing.T) {
	d := newDesk(t, adminPolicy)
	edit := func(text string) { do(t, os.WriteFile(d.file, []byte(text), 0o600)) }
	d.put(`{"mode": "enforce"}`)
	edit("version: 5\nmode: log\nuntil: 2030-01-31T13:00:00Z\nby: hand\n")
	if a := d.ask("PUT", "/control", `{"mode": "enforce"}`, `If-Match: "1"`); a.status != 412 || a.header.Get("ETag") != `"5"` {
		t.Errorf("a change of what a hand has replaced: got %d and ETag %s, want 412 and \"5\"", a.status, a.header.Get("ETag"))
	}
	if got := d.Gate.Control(gate.Local); got.Version != 5 || got.By != "hand" || !d.kept().Same(got) {
		t.Errorf("after it: got %+v, kept %+v; want what the hand wrote", got, d.kept())
	}
	if a := d.put(`{"mode": "bypass", "for": "1m"}`); a.body.Local.Version != 6 || d.kept().Version != 6 {
		t.Errorf("a change without condition: got %s, kept version %d; want 6", a.text, d.kept().Version)
	}
	for _, row := range []struct{ name, text string }{
		{"an older version", "version: 3\n"}, {"the same version, saying something else", "version: 6\n"}, {"garbage", "version: ["}, {"nothing", ""},
	} {
		edit(row.text)
		d.loader.Refresh(d.own)
		if got := d.modes(); got != "bypass bypass bypass" {
			t.Errorf("%s in the file: got modes %s, want the change to stay in force", row.name, got)
		}
	}
	a := d.put(`{"mode": "log", "for": "1m"}`)
	if a.body.Local.Version != 7 || a.body.Warnings != nil || d.kept().Version != 7 {
		t.Errorf("a change over garbage: got %s, kept version %d; want 7", a.text, d.kept().Version)
	}
	d.loader.Refresh(d.own)
	if status := d.Gate.Status(); status.FileProblem != "" || status.Local.Version != 7 {
		t.Errorf("read again: got version %d and problem %q, want 7 and none", status.Local.Version, status.FileProblem)
	}
	if got := d.log.lines("control request"); len(got) != 4 {
		t.Errorf("the log: got %d requests, want 4", len(got))
	}
	edit("version: 9007199254740992\n")
	if a := d.ask("PUT", "/control", `{"mode": "enforce"}`); a.status != 400 || !strings.HasPrefix(a.problem(), "version: ") {
		t.Errorf("behind the highest version: got %d %s, want 400 and a problem of the version", a.status, a.text)
	}
}

func TestKeptControlIsInForceInTheNextRun(t *testing.T) {
	d := newDesk(t, adminPolicy)
	d.put(`{"mode": "bypass", "for": "15m", "reason": "one \"two\" — ü\ufeff", "by": "ops"}`)
	for _, row := range []struct {
		later time.Duration
		modes string
	}{{0, "bypass bypass bypass"}, {15*time.Minute - 1, "bypass bypass bypass"}, {1, "enforce log enforce"}} {
		d.clocks.pass(row.later, 0)
		next := deskIn(t, d.dir, adminPolicy)
		next.clocks.pass(d.clocks.now().Sub(noon), 0)
		if got := next.modes(); got != row.modes {
			t.Errorf("at %s: got %s, want %s", next.clocks.now(), got, row.modes)
		}
		if got, want := next.Gate.Control(gate.Local), d.Gate.Control(gate.Local); !got.Same(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	next := deskIn(t, d.dir, adminPolicy)
	next.run()
	if a := next.put(`{}`); a.body.Local.Version != 2 {
		t.Errorf("the next change: got %s, want version 2", a.text)
	}
}
