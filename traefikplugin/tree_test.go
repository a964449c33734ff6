package traefikplugin

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShorthandsStandForTheAccountSecret(t *testing.T) {
	r := newRig(t)
	text, err := os.ReadFile(r.secretFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("APPROOVGATE_TEST_SECRET", string(text))
	written := filepath.Join(t.TempDir(), "policy.json")
	r.write(written, `{"keys": [{"name": "account", "alg": "HS256", "secret": "file:`+r.secretFile+`"}]}`)
	for name, c := range map[string]Config{
		"secretFile": {"secretFile": r.secretFile},
		"secretEnv":  {"secretEnv": "APPROOVGATE_TEST_SECRET"},
		"policyFile": {"policyFile": written},
		"keys":       {"keys": []interface{}{map[string]interface{}{"name": "account", "alg": "HS256", "secret": "file:" + r.secretFile}}},
	} {
		h := r.open(t.Context(), c, name)
		if got := r.ask(h, "/", r.token()); got != http.StatusNoContent {
			t.Errorf("%s, a genuine token: got %d, want 204", name, got)
		}
		if got := r.ask(h, "/", ""); got != http.StatusUnauthorized {
			t.Errorf("%s, no token: got %d, want 401", name, got)
		}
	}
}

// What Traefik makes of files and labels: strings for numbers and booleans, one string for a list in a label.
func TestAConfigurationOfLabelsIsUnderstood(t *testing.T) {
	r := newRig(t)
	h := r.open(t.Context(), r.edge(Config{
		"token": map[string]interface{}{"max_bytes": "4096", "leeway": "5s"},
		"routes": []interface{}{
			map[string]interface{}{"name": "open", "paths": "/health, /ready", "methods": "GET", "check": "none"},
			map[string]interface{}{"name": "logged", "deny_issuers": "", "paths": []interface{}{"/a,b"}, "mode": "log", "rollout": "50"},
		},
	}), "edge@docker")
	for path, want := range map[string]int{"/health": 204, "/ready": 204, "/a,b": 204, "/a": 401, "/": 401} {
		if got := r.ask(h, path, ""); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
}

func TestMistakesAreOneLineThatNamesFieldAndFix(t *testing.T) {
	r := newRig(t)
	broken := filepath.Join(t.TempDir(), "policy.json")
	r.write(broken, `{"mode": "on", "keys": []}`)
	none := filepath.Join(t.TempDir(), "none")
	for _, row := range []struct {
		name string
		c    Config
		want []string
	}{
		{"nothing", Config{}, []string{"edge@file: keys: is missing"}},
		{"unknown key", r.edge(Config{"modes": "log"}), []string{"modes: unknown key; did you mean mode?"}},
		{"a list that could mean everything", r.edge(Config{"routes": []interface{}{map[string]interface{}{"paths": ""}}}), []string{"routes[0].paths: is empty, which could mean everything or nothing"}},
		{"all at once", r.edge(Config{"modes": "log", "preflight": "yes"}), []string{"modes: ", "; preflight: must be exempt or check"}},
		{"two secrets", r.edge(Config{"secretEnv": "X"}), []string{"stands for the one key of the policy; delete"}},
		{"secret beside keys", r.edge(Config{"keys": []interface{}{}}), []string{"secretFile: stands for the one key"}},
		{"secret's file is missing", Config{"secretFile": none}, []string{"edge@file: secretFile: file " + none + " cannot be read", "check its path"}},
		{"secret with a scheme", Config{"secretFile": "file:/x"}, []string{"secretFile: must be a plain path"}},
		{"secret in place of a variable", Config{"secretEnv": "a secret+/="}, []string{"secretEnv: env: must be followed by the name"}},
		{"a number for a path", Config{"secretFile": 7}, []string{"secretFile: must be a string"}},
		{"policy beside its file", Config{"policyFile": broken, "mode": "log"}, []string{"policyFile: holds the whole policy; delete"}},
		{"a broken policy file", Config{"policyFile": broken}, []string{broken + ": mode: must be enforce", broken + ": keys: is missing"}},
		{"no policy file", Config{"policyFile": none}, []string{"policyFile: file " + none + " cannot be read"}},
		{"no address", r.edge(Config{"metrics": "9902"}), []string{"metrics: must be host:port"}},
		{"no port", r.edge(Config{"metrics": "localhost:http"}), []string{"metrics: must be host:port"}},
	} {
		got := r.refusal(row.c)
		if !strings.HasPrefix(got, "edge@file: ") || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want one line that begins with the middleware's name", row.name, got)
		}
		contains(t, row.name, got, row.want...)
		if strings.Contains(got, "a secret") {
			t.Errorf("%s: got %q, want it not to repeat what may be a secret", row.name, got)
		}
	}
}

func TestInlineSecretsAreRefusedAndNotRepeated(t *testing.T) {
	r := newRig(t)
	for path, text := range map[string]string{
		"keys[0].secret": `{"keys": [{"name": "a", "alg": "HS256", "secret": "inline:SECRET"}]}`,
		"control.token":  `{"control": {"url": "https://control.example.com/", "token": "inline:SECRET"}}`,
		"control.seal":   `{"control": {"cache": "/x", "seal": "inline:SECRET"}}`,
	} {
		text = strings.Replace(text, "SECRET", "VEVTVCBLRVksIG5ldmVyIHVzZTogNjQgYnl0ZXMgb2YgYSBzZWNyZXQ=", 1)
		var c Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		got := r.refusal(c)
		contains(t, path, got, path+": an inline secret is refused here, because Traefik shows the configuration of plugins", "use file:PATH or env:NAME")
		if strings.Contains(got+r.log.String(), "VEVTV") {
			t.Errorf("%s: got the secret in %q and %q", path, got, r.log.String())
		}
	}
}

func TestWarningsAreTold(t *testing.T) {
	r := newRig(t)
	if err := os.Chmod(r.secretFile, 0o644); err != nil {
		t.Fatal(err)
	}
	h := r.open(t.Context(), r.edge(nil), "edge@file")
	r.open(t.Context(), r.edge(nil), "edge@file")
	r.pass(refreshEvery)
	r.ask(h, "/", "")
	r.settle()
	if got := strings.Count(r.log.String(), "edge@file: warning: secretFile: file "+r.secretFile+" is world-readable"); got != 1 {
		t.Errorf("got %d warnings, want one\n%s", got, r.log.String())
	}
}
