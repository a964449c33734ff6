package traefikplugin

import (
	"context"
	"encoding/json"
	"expvar"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/porttest"
)

func TestFiguresAreServedWhileAGateNamesTheListener(t *testing.T) {
	r := newRig(t)
	address := porttest.Free(t)
	before, cancel := context.WithCancel(t.Context())
	h := r.open(before, r.edge(Config{"name": "edge", "metrics": address}), "edge@file")
	r.open(before, r.edge(Config{"name": "ed\"ge", "metrics": address}), "other@file")
	r.ask(h, "/", "")
	r.ask(h, "/", r.token())
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "figures", string(text),
		"# TYPE approovgate_decisions_total counter\n",
		`approovgate_decisions_total{gate="edge",route="",mode="enforce",verdict="fail",reason="token_missing",action="reject"} 1`+"\n",
		`approovgate_decisions_total{gate="edge",route="",mode="enforce",verdict="pass",reason="ok",action="forward"} 1`+"\n",
		`approovgate_keys{gate="ed\"ge",usable="true"} 1`+"\n", `approovgate_key_tokens_total{gate="edge",key="account"} 1`+"\n")
	cancel()
	h = r.open(t.Context(), r.edge(nil), "edge@file")
	r.pass(refreshEvery)
	r.ask(h, "/", "")
	r.pass(2 * forgetAfter)
	r.ask(h, "/", "")
	r.settle()
	if l, err := net.Listen("tcp", address); err != nil {
		t.Errorf("when no gate names the address: got %v, want it free", err)
	} else {
		_ = l.Close()
	}
}

// An address that is taken must not disable a router.
func TestAListenerThatCannotBeOpenedStopsNothing(t *testing.T) {
	r := newRig(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := r.open(t.Context(), r.edge(Config{"metrics": taken.Addr().String()}), "edge@file")
	if got := r.ask(h, "/", r.token()); got != http.StatusNoContent {
		t.Errorf("got %d, want 204", got)
	}
	contains(t, "the log", r.log.String(), "approovgate: metrics: ", "choose another address")
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	r.pass(refreshEvery)
	r.ask(h, "/", "")
	r.settle()
	if response, err := http.Get("http://" + taken.Addr().String() + "/metrics"); err != nil {
		t.Errorf("once the address is free: got %v, want the figures", err)
	} else {
		_ = response.Body.Close()
	}
}

// Dashboards and alerts are made for the names that the compiled hosts use.
func TestFiguresHaveTheNamesOfTheOtherHosts(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(Config{"control": map[string]interface{}{"file": "/none/control.json"}}), "edge@file")
	r.ask(h, "/", r.token())
	theirs := typesOf(compiledFigures(t, r.secretFile))
	ours := typesOf(shared.figures())
	for name := range ours {
		if !theirs[name] {
			t.Errorf("got %s, want only what internal/host has", name)
		}
	}
	if len(ours) < 10 {
		t.Errorf("got %v, want more", ours)
	}
}

// typesOf are the lines "# TYPE name kind".
func typesOf(text string) map[string]bool {
	all := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "# TYPE approovgate_") {
			all[line] = true
		}
	}
	return all
}

// compiledFigures are what internal/host serves of such a gate.
func compiledFigures(t *testing.T, secretFile string) string {
	t.Helper()
	tree := map[string]any{"keys": []any{map[string]any{"name": "account", "alg": "HS256", "secret": "file:" + secretFile}}, "control": map[string]any{"file": "/none/control.json"}}
	g, problems := gate.New(gate.Options{Load: func() (config.Policy, []config.Problem) { return config.Decode(tree) }})
	if g == nil {
		t.Fatal(problems)
	}
	g.Ask(httptest.NewRequest(http.MethodGet, "/", nil))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(host.NewMetrics(g).Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// Gates of one name are one line each, however many routers and policies there are.
func TestNoFigureIsToldTwice(t *testing.T) {
	r := newRig(t)
	for _, mode := range []string{"enforce", "log"} {
		h := r.open(t.Context(), r.edge(Config{"routes": []interface{}{map[string]interface{}{"name": "pay", "paths": "/pay", "mode": mode}}}), mode)
		r.ask(h, "/", "")
	}
	known := map[string]bool{}
	for _, line := range strings.Split(shared.figures(), "\n") {
		name := line[:strings.LastIndexByte(line, ' ')+1]
		if name != "" && known[name] {
			t.Errorf("got %s twice", line)
		}
		known[name] = true
	}
	contains(t, "figures", shared.figures(), `reason="token_missing",action="reject"} 2`, `route="pay",mode="log"`, `route="pay",mode="enforce"`)
}

func TestDecisionsAreSeenThroughExpvar(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(Config{"name": "edge"}), "edge@file")
	r.open(t.Context(), r.edge(Config{"name": "edge"}), "other@file")
	r.ask(h, "/", "")
	var got map[string][]map[string]any
	if err := json.Unmarshal([]byte(expvar.Get("approovgate").String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got["edge"]) != 1 || got["edge"][0]["reason"] != "token_missing" || got["edge"][0]["count"] != 1.0 || got["edge"][0]["mode"] != "enforce" {
		t.Errorf("got %v, want one decision under the policy's name", got)
	}
}
