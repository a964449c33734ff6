package main

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// sameJSON reports whether two texts are the same JSON.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return false
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(g, w)
}

func TestOverrideSendsAndSays(t *testing.T) {
	for _, row := range []struct {
		args      []string
		put, says string
	}{
		{[]string{"bypass"}, `{"mode":"bypass","for":"1h0m0s","by":"alice@edge-1"}`,
			"BYPASS FOR ALL ROUTES, until 14:00:00 CET (in 1 h), by alice@edge-1, no reason given"},
		{[]string{"log", "--for", "15m", "--reason", "INC-42: deploy", "--by", "bob"}, `{"mode":"log","for":"15m0s","by":"bob","reason":"INC-42: deploy"}`,
			"log for all routes, until 13:15:00 CET (in 15 min), by bob: INC-42: deploy"},
		{[]string{"bypass", "--for", "24h"}, `{"mode":"bypass","for":"24h0m0s","by":"alice@edge-1"}`,
			"BYPASS FOR ALL ROUTES, until Fri 2030-02-01 13:00:00 CET (in 24 h), by alice@edge-1, no reason given"},
		{[]string{"bypass", "--until", "2030-03-31T12:00:00+02:00"}, `{"mode":"bypass","until":"2030-03-31T10:00:00Z","by":"alice@edge-1"}`,
			"BYPASS FOR ALL ROUTES, until Sun 2030-03-31 12:00:00 CEST (in 58 days 22 h), by alice@edge-1, no reason given"},
		{[]string{"log", "--until", "13:30"}, `{"mode":"log","until":"2030-01-31T12:30:00Z","by":"alice@edge-1"}`,
			"log for all routes, until 13:30:00 CET (in 30 min), by alice@edge-1, no reason given"},
		{[]string{"enforce"}, `{"mode":"enforce","by":"alice@edge-1"}`,
			"enforce for all routes, without an end, by alice@edge-1, no reason given"},
		{[]string{"enforce", "--for=90s"}, `{"mode":"enforce","for":"1m30s","by":"alice@edge-1"}`,
			"enforce for all routes, until 13:01:30 CET (in 1 min 30 s), by alice@edge-1, no reason given"},
		{[]string{"enforce", "--route", "accounts", "--rollout", "0"}, `{"routes":{"accounts":{"mode":"enforce","rollout":0}},"by":"alice@edge-1"}`,
			"enforce (0 % of devices) for accounts, without an end, by alice@edge-1, no reason given"},
		{[]string{"bypass", "--route", "transfers", "--route", "accounts", "--route", "transfers"},
			`{"routes":{"accounts":{"mode":"bypass"},"transfers":{"mode":"bypass"}},"for":"1h0m0s","by":"alice@edge-1"}`,
			"bypass for accounts, transfers, until 14:00:00 CET (in 1 h), by alice@edge-1, no reason given"},
	} {
		r := newRig(t)
		stdout, stderr := r.must(row.args...)
		if !sameJSON(t, r.lastPut(), row.put) {
			t.Errorf("%q sends\n%s\nwant\n%s", row.args, r.lastPut(), row.put)
		}
		if got := firstLine(stdout); got != row.says || stderr != "" {
			t.Errorf("%q says\n%s\nwant\n%s\nand nothing on stderr: %s", row.args, got, row.says, stderr)
		}
	}
}

func TestOverrideShowsTheRoutes(t *testing.T) {
	stdout, _ := newRig(t).must("enforce", "--rollout", "25%", "--for", "1h")
	want := `enforce (25 % of devices) for all routes, until 14:00:00 CET (in 1 h), by alice@edge-1, no reason given

ROUTE         MODE     ROLLOUT  SAYS
health        exempt   -        policy
transfers     enforce  25 %     local override
accounts      enforce  25 %     local override (policy: log)
(all others)  enforce  25 %     local override
`
	if stdout != want {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}
}

// An override that opens everything says so in capitals, once.
func TestBypassForAllRoutesIsNotOverlooked(t *testing.T) {
	stdout, stderr := newRig(t).must("bypass")
	if n := strings.Count(stdout+stderr, "BYPASS"); n != 1 {
		t.Errorf("got BYPASS %d times, want once:\n%s", n, stdout)
	}
	stdout, stderr = newRig(t).must("bypass", "--route", "transfers")
	if strings.Contains(stdout+stderr, "BYPASS") {
		t.Errorf("got BYPASS for one route:\n%s", stdout)
	}
}

// What is looser than the policy needs an end, which only the gate can know.
func TestEnforceThatIsLooserThanThePolicyEndsAfterAnHour(t *testing.T) {
	r := newRig(t)
	stdout, stderr := r.must("enforce", "--rollout", "25", "--route", "transfers")
	want := "enforce (25 % of devices) for transfers, until 14:00:00 CET (in 1 h), by alice@edge-1, no reason given"
	if firstLine(stdout) != want || !strings.Contains(stderr, "note: the policy is stricter than this somewhere, so it ends after 1 h") {
		t.Errorf("got\n%s%s\nwant\n%s\nand a note", stdout, stderr, want)
	}
	status, _, stderr := newRig(t).run("enforce", "--rollout", "25", "--route", "transfers", "--route", "nowhere")
	if status != exitProblem || !strings.Contains(stderr, "--route nowhere: ") || !strings.Contains(stderr, "until: is missing") {
		t.Errorf("something else is wrong as well: got %d, %s, want both problems", status, stderr)
	}
}

func TestOverrideOfARouteKeepsTheOthers(t *testing.T) {
	r := newRig(t)
	r.must("log", "--for", "2h", "--reason", "first")
	_, stderr := r.must("bypass", "--route", "transfers", "--for", "3h", "--reason", "second", "--by", "bob")
	if want := `{"mode":"log","routes":{"transfers":{"mode":"bypass"}},"for":"3h0m0s","by":"bob","reason":"second"}`; !sameJSON(t, r.lastPut(), want) {
		t.Errorf("got %s, want %s", r.lastPut(), want)
	}
	if want := "note: the new end is for all routes of the override; before: log for all routes, until 15:00:00 CET (in 2 h)\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	stdout, stderr := r.must("enforce", "--route", "accounts", "--rollout", "50", "--for", "3h")
	want := `{"mode":"log","routes":{"transfers":{"mode":"bypass"},"accounts":{"mode":"enforce","rollout":50}},"for":"3h0m0s","by":"alice@edge-1","reason":"second"}`
	if !sameJSON(t, r.lastPut(), want) || stderr != "" {
		t.Errorf("got %s, %q, want %s and no note", r.lastPut(), stderr, want)
	}
	if want := "log for all routes, but bypass for transfers; enforce (50 % of devices) for accounts, until 16:00:00 CET (in 3 h), by alice@edge-1: second"; firstLine(stdout) != want {
		t.Errorf("got\n%s\nwant\n%s", firstLine(stdout), want)
	}
	_, stderr = r.must("bypass", "--for", "5m")
	if want := `{"mode":"bypass","for":"5m0s","by":"alice@edge-1"}`; !sameJSON(t, r.lastPut(), want) || !strings.HasPrefix(stderr, "note: this replaces: log for all routes, but bypass for transfers;") {
		t.Errorf("without --route: got %s, %q, want %s and what is replaced", r.lastPut(), stderr, want)
	}
}

// To enforce more must not keep other routes open for longer.
func TestEnforceOfARouteKeepsTheEndInForce(t *testing.T) {
	r := newRig(t)
	r.must("bypass", "--for", "10m")
	stdout, stderr := r.must("enforce", "--route", "transfers")
	want := "BYPASS FOR ALL ROUTES, but enforce for transfers, until 13:10:00 CET (in 10 min), by alice@edge-1, no reason given"
	if firstLine(stdout) != want || stderr != "" {
		t.Errorf("got\n%s%s\nwant\n%s", stdout, stderr, want)
	}
	_, stderr = r.must("bypass", "--route", "accounts")
	if !strings.Contains(stderr, "before: BYPASS FOR ALL ROUTES, but enforce for transfers, until 13:10:00 CET (in 10 min)") {
		t.Errorf("got %q, want a note that the bypass lasts longer", stderr)
	}
}

func TestOverrideThatHasEndedIsNotMerged(t *testing.T) {
	r := newRig(t)
	if problems := r.gate.SetControl(gate.Local, config.Control{Version: 1, Override: config.Override{Mode: "bypass"}, Until: noon.Add(-time.Minute)}); config.Failed(problems) {
		t.Fatal(problems)
	}
	_, stderr := r.must("log", "--route", "transfers")
	if want := `{"routes":{"transfers":{"mode":"log"}},"for":"1h0m0s","by":"alice@edge-1"}`; !sameJSON(t, r.lastPut(), want) || stderr != "" {
		t.Errorf("got %s, %q, want %s", r.lastPut(), stderr, want)
	}
}

// An emergency must not fail at a route that a newer policy has dropped.
func TestOverrideOfARouteThatIsGoneIsDropped(t *testing.T) {
	r := newRig(t)
	r.must("bypass", "--route", "accounts")
	r.policy = strings.Replace(r.policy, "name: accounts", "name: balances", 1)
	if problems := r.gate.Refresh(); config.Failed(problems) {
		t.Fatal(problems)
	}
	_, stderr := r.must("bypass", "--route", "transfers")
	if want := `{"routes":{"transfers":{"mode":"bypass"}},"for":"1h0m0s","by":"alice@edge-1"}`; !sameJSON(t, r.lastPut(), want) {
		t.Errorf("got %s, want %s", r.lastPut(), want)
	}
	if want := "note: the policy has no route accounts any more; the override for it is dropped\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
}

func TestChangesThatSomebodyElseWasQuickerWithAreMadeAgain(t *testing.T) {
	r := newRig(t)
	r.must("log", "--route", "accounts")
	r.conflicts = 3
	stdout, _ := r.must("bypass", "--route", "transfers")
	if !strings.HasPrefix(stdout, "bypass for transfers; log for accounts, ") || r.conflicts != 0 {
		t.Errorf("got %s, want both overrides", firstLine(stdout))
	}
	r.conflicts = 1000
	status, _, stderr := r.run("bypass", "--route", "transfers")
	if status != exitProblem || !strings.Contains(stderr, "others change the control all the time") || r.conflicts != 1000-mostConflicts {
		t.Errorf("got %d, %s, with %d conflicts left", status, stderr, r.conflicts)
	}
}

func TestOverrideRefusesFlags(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"bypass", "--for", "24h1s"}, "--for may be at most 24h; what lasts longer must be written out: --until 2030-02-01T13:00:01+01:00"},
		{[]string{"bypass", "--for", "15"}, `--for must be a length of time with its unit, such as 15m or 2h30m, is "15"`},
		{[]string{"bypass", "--for", "0s"}, "--for must be at least 1s"},
		{[]string{"bypass", "--for", "-5m"}, "--for must be at least 1s"},
		{[]string{"bypass", "--for", "5m", "--until", "14:00"}, "--for and --until say the same in two ways; give one"},
		{[]string{"bypass", "--until", "2030-01-31T11:59:59Z"}, "--until 2030-01-31T11:59:59Z has passed; it is 13:00:00 CET now"},
		{[]string{"bypass", "--until", "12:30"}, "--until 12:30 has passed; it is 13:00:00 CET now; for tomorrow write --until 2030-02-01T12:30"},
		{[]string{"bypass", "--until", "tomorrow"}, `--until must be a time such as 2030-01-31T14:00:00+01:00, or a local one such as 15:04 or 2006-01-02T15:04, is "tomorrow"`},
		{[]string{"bypass", "--until", "2030-03-31 02:30"}, "--until 2030-03-31 02:30 does not exist: the clocks go forward then"},
		{[]string{"bypass", "--until", "2030-10-27T02:30"}, "--until 2030-10-27T02:30 happens twice: the clocks go back then; write 2030-10-27T02:30:00+0"},
		{[]string{"bypass", "--rollout", "25"}, "--rollout says for how many devices to enforce, so it goes with enforce, not with bypass"},
		{[]string{"log", "--rollout", "25"}, "not with log"},
		{[]string{"enforce", "--rollout", "101"}, `--rollout must be a whole number of percent from 0 to 100, is "101"`},
		{[]string{"enforce", "--rollout", "-1"}, "--rollout must be"},
		{[]string{"enforce", "--rollout", "2.5"}, "--rollout must be"},
		{[]string{"bypass", "--route", ""}, "the name is empty; leave the flag out for all routes"},
		{[]string{"bypass", "transfers"}, `unexpected argument "transfers"; "approovgate bypass --help" lists the flags`},
		{[]string{"bypass", "--minutes", "5"}, `flag provided but not defined: --minutes; "approovgate bypass --help" lists the flags`},
		{[]string{"resume", "--for", "5m"}, "flag provided but not defined: --for"},
		{[]string{"resume", "now"}, `unexpected argument "now"`},
		{[]string{"status", "-v"}, "flag provided but not defined: --v"},
		{[]string{"report", "--hours", "0"}, "--hours must be a number above 0"},
		{[]string{"report", "--hours", "NaN"}, "--hours must be a number above 0"},
		{[]string{"report", "--hours", "+Inf"}, "--hours must be a number above 0"},
		{[]string{"report", "--hours", "a day"}, "--hours must be a number above 0"},
	} {
		r := newRig(t)
		status, stdout, stderr := r.run(row.args...)
		if status != exitUsage || stdout != "" || !strings.Contains(stderr, row.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: got %d, %q, %q, want %d and one line with %q", row.args, status, stdout, stderr, exitUsage, row.want)
		}
		if asked := r.requests(); len(asked) > 0 {
			t.Errorf("%q: the gate was asked %q all the same", row.args, asked)
		}
	}
}

// What the gate refuses stands under the flag it is about.
func TestRefusalsNameTheFlag(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"bypass", "--route", "transfer"}, "approovgate: --route transfer: the policy has no route of this name; did you mean transfers?\n"},
		{[]string{"bypass", "--route", "a b"}, "approovgate: --route a b: the policy has no route of this name; use one of accounts, health, transfers\n"},
		{[]string{"bypass", "--reason", "two\nlines"}, "approovgate: --reason: must be one line of at most 500 bytes\n"},
		{[]string{"bypass", "--by", strings.Repeat("x", 501)}, "approovgate: --by: must be one line of at most 500 bytes\n"},
		{[]string{"resume", "--reason", "two\nlines"}, "approovgate: --reason: must be one line of at most 500 bytes\n"},
	} {
		r := newRig(t)
		if status, stdout, stderr := r.run(row.args...); status != exitProblem || stdout != "" || stderr != row.want {
			t.Errorf("%q: got %d, %q, %q, want %d and %q", row.args, status, stdout, stderr, exitProblem, row.want)
		}
	}
	for path, want := range map[string]string{"for": "--for: x", "until": "--for: x", "rollout": "--rollout: x", "routes.a.mode": "--route a: x", "routes.ab": "routes.ab: x"} {
		err := underFlags(&refusal{Problems: []refusalProblem{{path, "x"}}}, []string{"a"}, ending{span: 1})
		if err.Error() != want {
			t.Errorf("%s: got %s, want %s", path, err, want)
		}
	}
	if err := underFlags(&refusal{Problems: []refusalProblem{{"until", "x"}}}, nil, ending{until: noon}); err.Error() != "--until: x" {
		t.Errorf("got %s", err)
	}
}

func TestWarningsOfTheGateGoToStderr(t *testing.T) {
	r := newRig(t)
	r.warnings = []string{"the policy names no control.file; a restart would forget it"}
	stdout, stderr := r.must("log")
	if want := "warning: the policy names no control.file; a restart would forget it\n"; stderr != want || strings.Contains(stdout, "restart") {
		t.Errorf("got %q and %q, want %q on stderr alone", stdout, stderr, want)
	}
	_, stderr = r.must("log", "--json")
	if !strings.Contains(stderr, "warning: the policy names no control.file") {
		t.Errorf("--json: got %q, want the warning too", stderr)
	}
}

func TestChangesAsJSONAreTheAnswer(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{{"bypass", "--json", "--reason", "INC"}, {"resume", "--json"}} {
		stdout, stderr := r.must(args...)
		var state controlState
		if err := json.Unmarshal([]byte(stdout), &state); err != nil || state.Local == nil || stderr != "" {
			t.Errorf("%q: got %s, %v, %s", args, stdout, err, stderr)
		}
	}
	if slices.Contains(r.requests(), "GET /status") {
		t.Error("the status was asked for, which nobody is to see")
	}
}

func TestResume(t *testing.T) {
	r := newRig(t)
	r.must("bypass")
	stdout, stderr := r.must("resume", "--reason", "INC-42 is over")
	if want := `{"by":"alice@edge-1","reason":"INC-42 is over"}`; !sameJSON(t, r.lastPut(), want) {
		t.Errorf("got %s, want %s", r.lastPut(), want)
	}
	want := "resumed: the policy rules, by alice@edge-1: INC-42 is over\n\nROUTE         MODE     ROLLOUT  SAYS\n"
	if !strings.HasPrefix(stdout, want) || strings.Contains(stdout, "override") || stderr != "" {
		t.Errorf("got\n%s%s\nwant\n%s", stdout, stderr, want)
	}
	if stdout, _ := r.must("resume"); firstLine(stdout) != "resumed: the policy rules, by alice@edge-1, no reason given" {
		t.Errorf("once more: got %s", stdout)
	}
}

// What resume does not end must be said.
func TestResumeUnderRemoteControl(t *testing.T) {
	r := newRig(t)
	remote := config.Control{Version: 9, Override: config.Override{Mode: "bypass"}, Until: noon.Add(time.Hour), By: "fleet", Reason: "maintenance"}
	if problems := r.gate.SetControl(gate.Remote, remote); config.Failed(problems) {
		t.Fatal(problems)
	}
	r.must("log")
	stdout, stderr := r.must("resume")
	if firstLine(stdout) != "resumed: no local override, by alice@edge-1, no reason given" ||
		!strings.HasPrefix(stderr, "warning: remote control is in force: BYPASS FOR ALL ROUTES, until 14:00:00 CET (in 1 h), by fleet: maintenance; ") ||
		!strings.Contains(stdout, "transfers     bypass  -        remote control (policy: enforce)\n") {
		t.Errorf("got\n%s%s", stdout, stderr)
	}
}

func TestWhoIsAskedFor(t *testing.T) {
	for _, row := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"SUDO_USER": "bob", "USER": "root"}, "bob@edge-1"},
		{map[string]string{"USER": "root"}, "root@edge-1"},
		{nil, "uid 7@edge-1"},
	} {
		r := newRig(t)
		r.env = row.env
		r.must("log")
		if got := r.gate.Control(gate.Local).By; got != row.want {
			t.Errorf("%v: got %s, want %s", row.env, got, row.want)
		}
	}
}

func TestChangeWhoseRoutesCannotBeShown(t *testing.T) {
	r := newRig(t)
	r.override["GET /status"] = func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusServiceUnavailable, "", "busy") }
	stdout, stderr := r.must("bypass")
	if strings.Count(stdout, "\n") != 1 || stderr != "warning: the change is made, but the routes cannot be shown: busy\n" {
		t.Errorf("got %q, %q", stdout, stderr)
	}
}
