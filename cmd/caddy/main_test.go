package main

import (
	"fmt"
	"github.com/approovgate/approovgate/internal/porttest"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestItHasTheThreeModules(t *testing.T) {
	out, err := newHome(t).run(t, "list-modules", "--skip-standard")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(out, "\n")
	for _, module := range []string{"admin.api.approov", "http.handlers.approov", "http.matchers.approov"} {
		if !slices.Contains(lines, module) {
			t.Errorf("caddy list-modules: got\n%s\nwant %s among them", out, module)
		}
	}
}

// TestMistakesAreToldWithTheirLine: caddy validate ends with a status other than 0 and says where to look.
func TestMistakesAreToldWithTheirLine(t *testing.T) {
	const around = "{\n\tadmin off\n}\nhttp://127.0.0.1:1 {\n\tapproov {\n%s\n\t}\n\trespond ok\n}\n"
	for _, row := range []struct{ name, policy, want string }{
		{"nothing is wrong", "\t\tsecret file:approov", ""},
		{"an unknown key", "\t\tsecret file:approov\n\t\tmoed log", "moed: unknown key; did you mean mode?, at Caddyfile:7"},
		{"an unknown mode", "\t\tsecret file:approov\n\t\tmode enfroce", "at Caddyfile:7"},
		{"a key of a route", "\t\tsecret file:approov\n\t\troutes health {\n\t\t\tpaths /health\n\t\t\tcheck nothing\n\t\t}", "at Caddyfile:9"},
		{"a secret in the Caddyfile", "\t\tsecret " + accountSecret, "at Caddyfile:6"},
		{"a secret that is missing", "\t\tsecret file:no-such-file", "keys[0].secret"},
		{"a secret that is too short", "\t\tsecret file:short", "keys[0].secret"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newHome(t)
			h.write(t, "short", "VEVTVCBLRVksIHNob3J0")
			h.write(t, "Caddyfile", fmt.Sprintf(around, row.policy))
			out, err := h.run(t, "validate", "--config", "Caddyfile", "--adapter", "caddyfile")
			if (err == nil) != (row.want == "") || !strings.Contains(out, row.want) {
				t.Errorf("caddy validate: got %v and\n%s\nwant %q", err, out, row.want)
			}
			if strings.Contains(out, accountSecret) {
				t.Errorf("caddy validate: got\n%s\nwant no secret in it", out)
			}
		})
	}
}

// TestReloadsKeepABypassAndNoSecret does what an operator does during an incident: a bypass, and then a reload.
func TestReloadsKeepABypassAndNoSecret(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer api.Close()
	h, address := newHome(t), porttest.Free(t)
	admin, err := porttest.FindAt("127.0.0.1") // Caddy's admin endpoint only answers under the machine's usual names
	if err != nil {
		t.Fatal(err)
	}
	caddyfile := func(more string) string {
		return fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tgrace_period 1ms\n}\nhttp://%s {\n\tapproov {\n\t\tname edge\n\t\tsecret {file.%s}\n\t\tkeys second {\n\t\t\talg HS256\n\t\t\tsecret {env.APPROOV_SECRET}\n\t\t\tkid second\n\t\t}\n%s\t}\n\treverse_proxy %s\n}\n",
			admin, address, h.path("approov"), more, api.Listener.Addr())
	}
	h.write(t, "Caddyfile", caddyfile(""))
	h.mustStart(t, address, "--config", "Caddyfile")
	wantStatus := func(when, token string, want int) {
		t.Helper()
		if got, _ := ask(t, "GET", "http://"+address+"/", token, ""); got != want {
			t.Errorf("%s: got %d, want %d", when, got, want)
		}
	}
	wantStatus("a genuine request", token(t), 200)
	wantStatus("before the bypass", "", 401)
	if status, text := ask(t, "PUT", "http://"+admin+"/approov/edge/control", "", `{"mode": "bypass", "for": "15m", "reason": "TEST", "by": "test"}`); status != 200 {
		t.Fatalf("PUT control: got %d %s, want 200", status, text)
	}
	wantStatus("bypassed", "", 200)

	h.write(t, "Caddyfile", caddyfile("\t\troutes new {\n\t\t\tpaths /new\n\t\t\tmode log\n\t\t}\n"))
	if out, err := h.run(t, "reload", "--config", "Caddyfile", "--address", admin); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	if _, text := ask(t, "GET", "http://"+admin+"/approov/edge/status", "", ""); !strings.Contains(text, `"new"`) {
		t.Errorf("status after the reload: got %s, want the new route", text)
	}
	wantStatus("after a reload", "", 200)

	h.write(t, "Caddyfile", caddyfile("\t\tno_such_key 1\n"))
	if out, err := h.run(t, "reload", "--config", "Caddyfile", "--address", admin); err == nil || !strings.Contains(out, "Caddyfile:") {
		t.Errorf("caddy reload of a mistake: got %v and\n%s\nwant an error with its line", err, out)
	}
	wantStatus("after a reload that failed", "", 200)
	if status, text := ask(t, "DELETE", "http://"+admin+"/approov/edge/control", "", `{"reason": "TEST is over", "by": "test"}`); status != 200 {
		t.Fatalf("DELETE control: got %d %s, want 200", status, text)
	}
	wantStatus("resumed", "", 401)

	_, shown := ask(t, "GET", "http://"+admin+"/config/", "", "")
	for name, text := range map[string]string{"GET /config/": shown, "autosave.json": h.read(t, "caddy/autosave.json")} {
		if !strings.Contains(text, "{file."+h.path("approov")+"}") || !strings.Contains(text, "{env.APPROOV_SECRET}") {
			t.Errorf("%s: got %s, want the placeholders of both secrets", name, text)
		}
		if strings.Contains(text, accountSecret) || strings.Contains(text, string(accountKey)) {
			t.Errorf("%s: holds the secret", name)
		}
	}
}
