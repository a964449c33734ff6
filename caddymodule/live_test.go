package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

func gateSite(name, more string) string {
	return top + "http://{listen} {\n\tapproov {\n\t\tname " + name + "\n\t\tsecret {file.{dir}/secret}\n" + more + "\n\t}\n\trespond {http.approov.reason}\n\thandle_errors {\n\t\trespond {http.approov.reason}\n\t}\n}"
}

// admin asks the gates' part of the admin endpoint.
func admin(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost:2019"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	if err := serveAdmin(w, r); err != nil {
		problem, ok := err.(caddy.APIError)
		if !ok {
			t.Fatalf("%s %s: got error %v, want one of Caddy's API", method, path, err)
		}
		return problem.HTTPStatus, problem.Err.Error()
	}
	return w.Code, w.Body.String()
}

func TestABypassOutlivesConfigurations(t *testing.T) {
	s := newSite(t, gateSite("incident", ""))
	if status, text := admin(t, "PUT", "/approov/incident/control", `{"mode": "bypass", "for": "15m", "by": "test"}`); status != 200 {
		t.Fatalf("got %d %s, want 200", status, text)
	}
	reasons := func() string { return s.ask("GET", "/").body }
	if got := reasons(); got != "bypassed" {
		t.Fatalf("switched: got %s, want bypassed", got)
	}
	for i, row := range []struct {
		name, site string
		refused    bool
	}{
		{"the same", gateSite("incident", ""), false},
		{"another policy", gateSite("incident", "deny_annotations rooted"), false},
		{"one that Caddy refuses", gateSite("incident", "keys more {\n alg HS256\n secret {file.{dir}/missing}\n}"), true},
		{"the first again", gateSite("incident", ""), false},
	} {
		if err := s.load(row.site); (err != nil) != row.refused {
			t.Fatalf("%s: got error %v", row.name, err)
		}
		if got := reasons(); got != "bypassed" {
			t.Errorf("%s: got %s, want the bypass to go on", row.name, got)
		}
		if got := decisions(&stationOf("incident").kin); got != int64(i+2) {
			t.Errorf("%s: got %d decisions, want %d: all since the start", row.name, got, i+2)
		}
	}
	if err := s.load(gateSite("another", "")); err != nil {
		t.Fatal(err)
	}
	if got := reasons(); got != "token_missing" {
		t.Errorf("a gate of another name: got %s, want it to enforce", got)
	}
	if status, text := admin(t, "GET", "/approov/incident/control", ""); status != 404 || !strings.Contains(text, `["another"]`) {
		t.Errorf("a gate that is not in use: got %d %s, want 404 and the names of those that are", status, text)
	}
	if err := s.load(gateSite("incident", "")); err != nil {
		t.Fatal(err)
	}
	admin(t, "DELETE", "/approov/control", "")
	if got := reasons(); got != "token_missing" {
		t.Errorf("resumed: got %s, want token_missing", got)
	}
}

func TestTheAdminRoutes(t *testing.T) {
	s := newSite(t, gateSite("one", "routes pay {\n paths /pay\n}"))
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/approov/", "", 200, `{"gates":[{"name":"one","mode":"enforce","ready":true}]}`},
		{"DELETE", "/approov/", "", 405, "ask /approov/NAME/control"},
		{"GET", "/approov/one/status", "", 200, `"name": "pay"`},
		{"GET", "/approov/status", "", 200, `"name": "one"`},
		{"GET", "/approov/one/report", "", 200, `"gate": "one"`},
		{"GET", "/approov/two/status", "", 404, "/approov/NAME/status"},
		{"GET", "/approov/one/none", "", 404, "404"},
		{"PUT", "/approov/one/control", `{"mode": "log"}`, 400, "until"},
		{"PUT", "/approov/one/control", `{"routes": {"pay": "log"}, "for": "1m"}`, 200, `"in_force": "local"`},
	} {
		status, text := admin(t, row.method, row.path, row.body)
		if status != row.status || !strings.Contains(text, row.want) {
			t.Errorf("%s %s: got %d %s, want %d with %s", row.method, row.path, status, text, row.status, row.want)
		}
	}
	if got := s.ask("GET", "/pay").status; got != 200 {
		t.Errorf("the route in log mode: got %d, want 200", got)
	}
	if got := s.ask("GET", "/").status; got != 401 {
		t.Errorf("beside it: got %d, want 401", got)
	}
	admin(t, "DELETE", "/approov/one/control", "")
}

// A secret that a file holds is read again when it changes, without a reload of Caddy.
func TestAChangedSecretNeedsNoReload(t *testing.T) {
	s := newSite(t, gateSite("rotating", ""))
	genuine := token(t, nil)
	if got := s.ask("GET", "/", "Approov-Token", genuine).body; got != "ok" {
		t.Fatalf("got %s, want ok", got)
	}
	s.write("secret", base64.StdEncoding.EncodeToString([]byte("TEST KEY, never use: another one of the sixty-four bytes needed!")))
	eventually(t, "the other secret in force", func() bool {
		return s.ask("GET", "/", "Approov-Token", genuine).body == "signature_invalid"
	})
	s.write("secret", "weak")
	eventually(t, "the failure in the metrics", func() bool {
		return strings.Contains(metrics(t), `approovgate_config_failing{gate="rotating"} 1`)
	})
	if got := s.ask("GET", "/", "Approov-Token", genuine).body; got != "signature_invalid" {
		t.Errorf("with a secret that cannot be used: got %s, want the last good one in force", got)
	}
}

func TestAPolicyFileIsReadAgain(t *testing.T) {
	s := newSite(t, top+"http://{listen} {\n\trespond wait\n}")
	s.write("policy.yaml", "mode: log\nkeys: [{name: account, alg: HS256, secret: file:secret}]\n")
	if err := s.load(top + "http://{listen} {\n\tapproov {\n\t\tpolicy_file {dir}/policy.yaml\n\t}\n\trespond {http.approov.reason}\n}"); err != nil {
		t.Fatal(err)
	}
	if got := s.ask("GET", "/").status; got != 200 {
		t.Errorf("in log mode: got %d, want 200", got)
	}
	s.write("policy.yaml", "mode: enforce\nkeys: [{name: account, alg: HS256, secret: file:secret}]\n")
	eventually(t, "enforcing", func() bool { return s.ask("GET", "/").status == 401 })
	s.write("policy.yaml", "mode: enforced\n")
	err := s.load(top + "http://{listen} {\n\tapproov {\n\t\tpolicy_file {dir}/policy.yaml\n\t}\n\trespond other\n}")
	if err != nil {
		t.Errorf("a file that is broken now, whose last good policy is in force: got %v, want no error", err)
	}
	if got := s.ask("GET", "/").status; got != 401 {
		t.Errorf("with the broken file: got %d, want the last good policy in force", got)
	}
}

// metrics are ours as Caddy shows them.
func metrics(t *testing.T) string {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			labels := []string{}
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetName()+`="`+label.GetValue()+`"`)
			}
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, family.GetName()+"{"+strings.Join(labels, ",")+"} "+string(text))
		}
	}
	return strings.Join(all, "\n")
}

func TestMetricsOfSeveralPoliciesUnderOneName(t *testing.T) {
	s := newSite(t, top+`http://{listen} {
	approov /a/* {
		name several
		secret {file.{dir}/secret}
	}
	approov /b/* {
		name several
		mode log
		secret {file.{dir}/secret}
	}
	respond ok
}`)
	s.ask("GET", "/a/x")
	s.ask("GET", "/b/x")
	got := metrics(t)
	for _, want := range []string{
		`approovgate_decisions_total{action="reject",gate="several",mode="enforce",reason="token_missing",route="",verdict="fail"} 1`,
		`approovgate_decisions_total{action="forward",gate="several",mode="log",reason="token_missing",route="",verdict="fail"} 1`,
		`approovgate_route_mode{gate="several",mode="enforce",route="",says="policy"} 1`,
		`approovgate_route_mode{gate="several",mode="log",route="",says="policy"} 1`,
		`approovgate_control_changes_total{gate="several",kind="set",slot="local"} 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("got no %s in\n%s", want, got)
		}
	}
	if problems := stationOf("several").kin.SetControl(gate.Local, config.Control{Version: 1}); config.Failed(problems) {
		t.Error(problems)
	}
	if !strings.Contains(metrics(t), `approovgate_control_changes_total{gate="several",kind="cleared",slot="local"} 1`) {
		t.Error("a change under a name of several policies: want it counted once")
	}
}

// What Caddy provisions and then does not use must leave nothing behind, and neither must what it stops.
func TestNothingIsLeftBehind(t *testing.T) {
	s := newSite(t, gateSite("left", "")) // so that what Caddy itself starts once is running
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	for _, row := range []struct{ name, site string }{
		{"a secret that is missing", gateSite("left", "keys more {\n alg HS256\n secret {file.{dir}/missing}\n}")},
		{"a weak one", gateSite("left", "keys more {\n alg HS256\n secret {file.{dir}/weak}\n}")},
		{"a name that is not there", strings.Replace(gateSite("left", ""), "name left", "name {env.NO_SUCH_NAME}", 1)},
		{"a mistake beside the gate", strings.Replace(gateSite("left", ""), "respond {http", "reverse_proxy https://127.0.0.1:1 {\n transport http {\n tls_trust_pool file {dir}/missing\n}\n}\nrespond {http", 1)},
	} {
		s.write("weak", "d2Vhaw==")
		if err := s.load(row.site); err == nil {
			t.Fatalf("%s: got no error", row.name)
		} else if strings.Contains(err.Error(), "d2Vhaw") {
			t.Errorf("%s: got %v, which shows a secret", row.name, err)
		} else {
			t.Logf("%s: %v", row.name, err)
		}
	}
	if err := s.load(gateSite("left", "")); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	lives.Range(func(_, value any) bool {
		t.Errorf("left in the pool: %v", value.(*live).station.name)
		return true
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}
