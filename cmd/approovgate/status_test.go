package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/mint"
)

func set(t *testing.T, r *rig, slot gate.Slot, c config.Control) {
	t.Helper()
	if problems := r.gate.SetControl(slot, c); config.Failed(problems) {
		t.Fatal(problems)
	}
}

func TestStatus(t *testing.T) {
	r := newRig(t)
	secret := []byte("test key of the scripts, never used for anything else.")
	token, err := mint.Sign("HS256", "", secret, map[string]any{"exp": noon.Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d := r.gate.Check(engine.Request{Method: "GET", Target: "/v1/transfers", Header: map[string][]string{"Approov-Token": {token}}})
		if d.Verdict != engine.Pass {
			t.Fatalf("got %s, want pass", d.Reason)
		}
	}
	set(t, r, gate.Local, config.Control{Version: 3, Override: config.Override{Mode: "bypass"}, Until: noon.Add(14*time.Minute + 30*time.Second), By: "alice@edge-1", Reason: "INC-42"})
	set(t, r, gate.Remote, config.Control{Version: 9, Routes: map[string]config.Override{"transfers": {Mode: "log"}}, Until: noon.Add(20 * time.Hour), By: "fleet"})
	stdout, stderr := r.must("status")
	want := `gate edge: ready, Thu 2030-01-31 13:00:00 CET
approovgate 1.2.3 go1.26, policy loaded now

in force: BYPASS FOR ALL ROUTES
  until   13:14:30 CET (in 15 min)
  by      alice@edge-1
  reason  INC-42
  from    local override, version 3
behind it, remote control: log for transfers, until Fri 2030-02-01 09:00:00 CET (in 20 h), by fleet, no reason given

ROUTE         MODE    ROLLOUT  SAYS
health        exempt  -        policy
transfers     bypass  -        local override (policy: enforce)
accounts      bypass  -        local override (policy: log)
(all others)  bypass  -        local override (policy: enforce)

KEY      KID  ALG    WINDOW                                        LAST USE  PER MINUTE
account  -    HS256  always                                        now       3
next     k-2  HS256  BEGINS Fri 2030-02-01 01:00:00 CET (in 12 h)  never     0
retired  k-0  HS256  ENDED 12:00:00 CET (1 h ago)                  never     0

warning: keys[0].secret: an inline secret ends up in backups, logs of deployments and process lists; use file:PATH or env:NAME
warning: keys[1].secret: an inline secret ends up in backups, logs of deployments and process lists; use file:PATH or env:NAME
warning: keys[2].secret: an inline secret ends up in backups, logs of deployments and process lists; use file:PATH or env:NAME
`
	if stdout != want || stderr != "" {
		t.Errorf("got\n%s%s\nwant\n%s", stdout, stderr, want)
	}
}

func TestStatusOfControl(t *testing.T) {
	past, later := noon.Add(-90*time.Minute), noon.Add(time.Hour)
	bypass := config.Override{Mode: "bypass"}
	for _, row := range []struct {
		name          string
		policy        string
		local, remote config.Control
		want          string // the block
	}{
		{"none", "", config.Control{}, config.Control{}, "in force: the policy, without an override\n"},
		{"a policy that checks nothing", "mode: bypass\n", config.Control{}, config.Control{}, "in force: the policy, without an override; it says BYPASS FOR ALL ROUTES\n"},
		{"an endless one", "", config.Control{Version: 1, Override: config.Override{Mode: "enforce"}, By: "a"}, config.Control{},
			"in force: enforce for all routes\n  until   no end: until approovgate resume\n  by      a\n  reason  -\n  from    local override, version 1\n"},
		{"a remote one", "", config.Control{}, config.Control{Version: 4, Override: bypass, Until: later},
			"in force: BYPASS FOR ALL ROUTES\n  until   14:00:00 CET (in 1 h)\n  by      -\n  reason  -\n  from    remote control, version 4\n"},
		{"one that has ended", "", config.Control{Version: 2, Override: bypass, Until: past, By: "a", Reason: "b"}, config.Control{},
			"in force: the policy, without an override\nlocal override: ended 11:30:00 CET (1 h 30 min ago): BYPASS FOR ALL ROUTES, by a: b\n"},
		{"one that was cleared, above a remote one", "", config.Control{Version: 3, By: "a", Reason: "over"}, config.Control{Version: 4, Override: config.Override{Mode: "log"}, Until: later, By: "fleet"},
			"in force: log for all routes\n  until   14:00:00 CET (in 1 h)\n  by      fleet\n  reason  -\n  from    remote control, version 4\nlocal override: cleared with version 3, by a: over\n"},
	} {
		r := newRigWith(t, row.policy+strings.Replace(standInPolicy, ", mode: log", "", 1))
		if row.local.Version > 0 {
			set(t, r, gate.Local, row.local)
		}
		if row.remote.Version > 0 {
			set(t, r, gate.Remote, row.remote)
		}
		stdout, _ := r.must("status")
		if got := strings.Split(stdout, "\n\n")[1] + "\n"; got != row.want {
			t.Errorf("%s: got\n%s\nwant\n%s", row.name, got, row.want)
		}
	}
}

// answers makes the stand-in answer a request with a text.
func (r *rig) answers(request, kind, text string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.override[request] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func TestStatusOfSourcesAndProblems(t *testing.T) {
	r := newRig(t)
	r.answers("GET /status", "application/json", `{"name":"edge","program":"x","ready":false,"mode":"enforce","clock":"2030-01-31T12:00:00Z",
		"routes":[{"name":"","exempt":false,"mode":"enforce","rollout":100,"own_mode":"enforce","says":"policy"}],"control":{"in_force":"policy"},"keys":[],
		"sources":[{"name":"control.url","tried":"2030-01-31T11:59:58Z","good":"2030-01-31T11:59:58Z","failure":"","tries":1200,"fails":3},
		{"name":"keys[1].jwks","tried":"2030-01-31T11:59:58Z","good":"2030-01-31T08:48:00Z","kept":true,"failure":"the server answers 503","tries":41,"fails":40},
		{"name":"keys[2].ring","failure":"","tries":0,"fails":0}],
		"config":{"generation":4,"loaded":"2030-01-28T08:00:00Z","failing":true,"problems":[{"path":"mode","text":"must be enforce or log or bypass","warning":false},
		{"path":"keys[0].secret","text":"file x is world-readable","warning":true},{"path":"","text":"is odd","warning":true}]},"newer":{"unknown":1}}`, http.StatusOK)
	stdout, stderr := r.must("status")
	want := `gate edge: NOT READY, Thu 2030-01-31 13:00:00 CET
approovgate x, policy loaded 3 days 4 h ago

in force: the policy, without an override

ROUTE         MODE     ROLLOUT  SAYS
(all others)  enforce  100 %    policy

no keys: no token can be genuine

SOURCE        STATE          LAST GOOD                     FAILED
control.url   ok             2 s ago                       3 of 1200
keys[1].jwks  FAILING        3 h 12 min ago, kept on disk  40 of 41
keys[2].ring  not asked yet  never                         0 of 0
  keys[1].jwks: the server answers 503

The last reload FAILED; the policy that was loaded 3 days 4 h ago stays in force.
error: mode: must be enforce or log or bypass
warning: keys[0].secret: file x is world-readable
warning: is odd
`
	if stdout != want || stderr != "" {
		t.Errorf("got\n%s%s\nwant\n%s", stdout, stderr, want)
	}
}

func TestStatusAsJSONIsTheAnswer(t *testing.T) {
	r := newRig(t)
	text := "{\n  \"name\": \"edge\", \"a\": [1.50, 1e400, \"<é&\\u0041\"]\n}\n"
	r.answers("GET /status", "application/json", text, http.StatusOK)
	if stdout, stderr := r.must("status", "--json"); stdout != text || stderr != "" {
		t.Errorf("got %q, %q, want %q", stdout, stderr, text)
	}
	r.answers("GET /status", "application/json", "{\"clock\":\"yesterday\",\"name\":\"\u009b31m\u202e\U000e0041\x7f\"}", http.StatusOK)
	if stdout, _ := r.must("status", "--json"); stdout != `{"clock":"yesterday","name":"\u009b31m\u202e\udb40\udc41\u007f"}`+"\n" {
		t.Errorf("got %q, want what could steer a terminal escaped", stdout)
	}
}

// hostile replaces every text of a document by one that would steer a terminal.
func hostile(value any) any {
	switch v := value.(type) {
	case map[string]any:
		changed := map[string]any{}
		for key, member := range v {
			if key == "transfers" {
				key += evil
			}
			changed[key] = hostile(member)
		}
		return changed
	case []any:
		for i := range v {
			v[i] = hostile(v[i])
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err != nil && v != "local" && v != "remote" && v != "policy" {
			return v + evil
		}
	}
	return value
}

const evil = "\x1b[2J\r\n\u009b31m\u202egp\u2066\u200b\x7f\u2028"

func TestNothingShownCanSteerATerminal(t *testing.T) {
	r := newRig(t)
	set(t, r, gate.Local, config.Control{Version: 1, Override: config.Override{Mode: "bypass"}, Routes: map[string]config.Override{"transfers": {Mode: "log"}}, Until: noon.Add(time.Hour), By: "a", Reason: "b"})
	set(t, r, gate.Remote, config.Control{Version: 1, Override: config.Override{Mode: "bypass"}, Until: noon.Add(time.Hour), By: "a", Reason: "b"})
	status := r.standIn.status()
	status["sources"] = []any{map[string]any{"name": "control.url", "failure": "the server is odd"}}
	state := r.state()
	state["warnings"] = []any{"odd"}
	status["control"] = state
	for request, value := range map[string]any{"GET /status": status, "GET /control": state, "PUT /control": state, "DELETE /control": state} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		if text, err = json.Marshal(hostile(tree)); err != nil {
			t.Fatal(err)
		}
		r.answers(request, "application/json", string(text), http.StatusOK)
	}
	r.answers("GET /report", "text/plain", "a"+evil+"\n", http.StatusOK)
	clean := func(args []string, stdout, stderr string) {
		t.Helper()
		for _, c := range stdout + stderr {
			if !unicode.IsPrint(c) && c != '\n' {
				t.Errorf("%q: got %q in\n%q\n%q", args, c, stdout, stderr)
			}
		}
		if !strings.Contains(stdout+stderr, "\ufffd[2J") && !strings.Contains(stdout+stderr, `\u001b[2J`) {
			t.Errorf("%q: nothing hostile came, want it made harmless: %q %q", args, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"bypass", "--route", "transfers"}, {"log"}, {"resume"}, {"report"}} {
		_, stdout, stderr := r.run(args...)
		clean(args, stdout, stderr)
	}
	problem, err := json.Marshal(map[string]any{"title": "t" + evil, "problems": []any{map[string]any{"path": "p" + evil, "text": "x" + evil}}})
	if err != nil {
		t.Fatal(err)
	}
	r.answers("GET /status", "application/problem+json", string(problem), http.StatusBadRequest)
	_, stdout, stderr := r.run("status")
	clean([]string{"status, refused"}, stdout, stderr)
}

func TestReport(t *testing.T) {
	r := newRig(t)
	stdout, stderr := r.must("report")
	if want := "edge, hours: \n\nCan enforcing be turned on? yes \ufffd[31m\n"; stdout != want || stderr != "" {
		t.Errorf("got %q, %q, want %q", stdout, stderr, want)
	}
	if stdout, _ := r.must("report", "--hours", "0.5"); firstLine(stdout) != "edge, hours: 0.5" {
		t.Errorf("got %q, want the hours asked for", stdout)
	}
	if stdout, _ := r.must("report", "--hours", "24", "--json"); stdout != `{"answer":"yes","hours":"24"}`+"\n" {
		t.Errorf("got %q", stdout)
	}
	if status, _, stderr := r.run("report", "--hours", "200"); status != exitProblem || stderr != "approovgate: --hours: must be a number above 0, up to 168\n" {
		t.Errorf("got %d, %q", status, stderr)
	}
}
