package traefikplugin

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRoutersWithOneMiddlewareShareItsGate(t *testing.T) {
	r := newRig(t)
	r.open(t.Context(), r.edge(nil), "edge@file")
	r.open(t.Context(), r.edge(nil), "edge@file")
	if got := len(shared.all); got != 1 {
		t.Errorf("one configuration twice: got %d gates, want 1", got)
	}
	r.open(t.Context(), r.edge(nil), "other@file")
	r.open(t.Context(), r.edge(Config{"mode": "log"}), "edge@file")
	if got := len(shared.all); got != 3 {
		t.Errorf("another name and another configuration: got %d gates, want 3", got)
	}
}

// Traefik ends the contexts of all routers, and then makes those that replace them one after another.
func TestAReloadKeepsTheGateOfAnUnchangedMiddleware(t *testing.T) {
	r := newRig(t)
	before, cancel := context.WithCancel(t.Context())
	old := r.open(before, r.edge(nil), "edge@file")
	r.open(before, r.edge(Config{"mode": "log"}), "other@file")
	r.pass(time.Hour)
	cancel()
	r.open(t.Context(), r.edge(Config{"mode": "log"}), "other@file")
	if got := r.ask(old, "/", r.token()); got != http.StatusNoContent {
		t.Errorf("a request that the old router still serves: got %d, want 204", got)
	}
	gate := shared.find("edge@file\x00" + idOf(r.edge(nil)))
	r.open(t.Context(), r.edge(nil), "edge@file")
	if again := shared.find("edge@file\x00" + idOf(r.edge(nil))); gate == nil || again != gate {
		t.Errorf("got gate %p after the reload, want %p as before", again, gate)
	}
}

func idOf(c Config) string {
	s, _ := readConfig(c)
	return s.id
}

func TestGatesWithoutRoutersAreForgottenAfterAMinute(t *testing.T) {
	r := newRig(t)
	before, cancel := context.WithCancel(t.Context())
	r.open(before, r.edge(nil), "edge@file")
	cancel()
	h := r.open(t.Context(), r.edge(Config{"mode": "log"}), "edge@file")
	for _, row := range []struct {
		after time.Duration
		want  int
	}{{refreshEvery, 2}, {forgetAfter, 1}, {forgetAfter, 1}} {
		r.pass(row.after)
		r.ask(h, "/", "")
		r.settle()
		if got := len(shared.all); got != row.want {
			t.Errorf("after another %s: got %d gates, want %d", row.after, got, row.want)
		}
	}
}

// Whoever writes new names into a configuration all day must not fill the memory. Control in force is kept.
func TestNamesThatNobodyHasAreForgottenAtSomePoint(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "control.json")
	r.write(file, `{"version": 1, "mode": "bypass", "until": "2030-01-31T13:00:00Z"}`)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.open(ended, r.edge(Config{"name": "switched", "control": map[string]interface{}{"file": file}}), "edge@file")
	for i := 0; i < 2*maxNames; i++ {
		r.open(ended, r.edge(Config{"name": fmt.Sprint("name", i)}), "edge@file")
	}
	r.pass(0)
	shared.tidy()
	r.pass(2 * forgetAfter)
	r.open(t.Context(), r.edge(Config{"name": "last"}), "edge@file")
	names := shared.names()
	if got := len(names); got > maxNames+1 || got < maxNames || names["switched"] == nil || names["last"] == nil {
		t.Errorf("got %d names, of them the switched one %v, want about %d with it and the last", got, names["switched"], maxNames)
	}
}

// An incident: checks are switched off by a control file, and then the middleware's configuration changes.
func TestAReloadDuringAnIncidentKeepsTheBypass(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "control.json")
	c := r.edge(Config{"control": map[string]interface{}{"file": file}})
	h := r.open(t.Context(), c, "edge@file")
	if got := r.ask(h, "/", ""); got != http.StatusUnauthorized {
		t.Fatalf("no token: got %d, want 401", got)
	}
	r.write(file, `{"version": 1, "mode": "bypass", "until": "2030-01-31T13:00:00Z", "by": "ops"}`)
	r.pass(refreshEvery)
	r.ask(h, "/", "")
	r.settle()
	if got := r.ask(h, "/", ""); got != http.StatusNoContent {
		t.Errorf("no token, bypassed: got %d, want 204", got)
	}
	contains(t, "the line about it", r.out.String(), `"msg":"control changed"`, `"gate":"approovgate"`, `"mode":"bypass"`, `"until":"2030-01-31T13:00:00Z"`, `"by":"ops"`)

	h = r.open(t.Context(), r.edge(Config{"preflight": "check"}), "edge@file") // which names no file any more
	if got := r.ask(h, "/", ""); got != http.StatusNoContent {
		t.Errorf("no token, bypassed before a reload: got %d, want 204", got)
	}
	r.mu.Lock()
	r.time = noon.Add(time.Hour)
	r.mu.Unlock()
	if got := r.ask(h, "/", ""); got != http.StatusUnauthorized {
		t.Errorf("no token, after the bypass: got %d, want 401", got)
	}
}

func TestChangedFilesCountAfterAtMostFiveSeconds(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(nil), "edge@file")
	r.write(r.secretFile, base64.StdEncoding.EncodeToString([]byte(strings.ToLower(secret))))
	if got := r.ask(h, "/", r.token()); got != http.StatusNoContent {
		t.Errorf("at once: got %d, want 204 by the secret in force", got)
	}
	r.pass(refreshEvery)
	r.ask(h, "/", "")
	r.settle()
	if got := r.ask(h, "/", r.token()); got != http.StatusUnauthorized {
		t.Errorf("after %s and a request: got %d, want 401", refreshEvery, got)
	}
}

// A file that goes bad is told once, not every five seconds, and the last good secret stays.
func TestABadFileKeepsTheLastGoodPolicy(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(nil), "edge@file")
	r.write(r.secretFile, "c2hvcnQ=")
	for i := 0; i < 3; i++ {
		r.pass(refreshEvery)
		if got := r.ask(h, "/", r.token()); got != http.StatusNoContent {
			t.Errorf("got %d, want 204", got)
		}
	}
	r.settle()
	if got := strings.Count(r.log.String(), "edge@file: the last good policy stays in force: secretFile: weak: 5 bytes"); got != 1 {
		t.Errorf("got %d lines, want one\n%s", got, r.log.String())
	}
}

// Until its keys have come for the first time a gate lets nothing through. It asks for them without being used.
func TestKeysBehindAURLAreAskedForAtOnce(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), Config{"keys": []interface{}{
		map[string]interface{}{"name": "set", "jwks": "https://127.0.0.1:1/none", "algs": []interface{}{"ES256"}},
	}}, "edge@file")
	r.until("the source's failure", func() bool { return strings.Contains(r.out.String(), `"msg":"source failing"`) })
	contains(t, "the line about it", r.out.String(), `"source":"keys[0].jwks"`)
	if got := r.ask(h, "/", r.token()); got != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", got)
	}
}

// A fault of ours must neither open a route nor end the process.
func TestAFaultIsAnsweredAndOpensNothing(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(nil), "edge@file")
	r.settle()
	good := shared.all
	now = func() time.Time { panic("token-to-look-for") }
	c := r.edge(Config{"mode": "log"})
	if _, err := New(t.Context(), http.NotFoundHandler(), &c, "edge@file"); err == nil || !strings.HasPrefix(err.Error(), "edge@file: a fault of the plugin") {
		t.Errorf("New: got error %v, want one", err)
	}
	for _, g := range good {
		g.lines = nil
	}
	if got := r.ask(h, "/", "forged"); got != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", got)
	}
	if strings.Contains(r.log.String(), "token-to-look-for") {
		t.Errorf("got the fault's text in %q, want it left out", r.log.String())
	}
}
