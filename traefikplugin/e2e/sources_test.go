package e2e

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/controlsign"
	"github.com/approovgate/approovgate/mint"
)

// TestKeysAndControlFromURLs: the interpreted plugin fetches keys and a signed control document over TLS, by use. A
// reload whose configuration names no control any more keeps the switch where it is.
func TestKeysAndControlFromURLs(t *testing.T) {
	keys, err := filepath.Abs(root + "/testdata/keys")
	if err != nil {
		t.Fatal(err)
	}
	key, err := controlsign.ParseKey([]byte(read(t, keys+"/p256-account.private.pem")))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(tree map[string]any) string {
		document, problems := controlsign.Control(key, tree, controlsign.Terms{Audience: []string{"edge"}, Now: noon})
		if config.Failed(problems) {
			t.Fatal(problems)
		}
		return document
	}
	set := read(t, keys+"/keyset.jwks.json")
	documents := map[string]string{
		"/keys": set, "/control": sign(map[string]any{"version": 1, "mode": "bypass", "until": noon.Add(time.Hour).Format(time.RFC3339)}),
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(documents[r.URL.Path])) }))
	defer server.Close()

	b := newBundle(t)
	authority := filepath.Join(b.dir, "authority.pem")
	write(t, authority, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	builder := load(t, b)
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	jwks := fmt.Sprintf(`"name": "edge", "keys": [{"name": "set", "jwks": "%s/keys", "algs": ["ES256"], "ca": %q}]`, server.URL, authority)
	h, err := build(t, builder, "{"+jwks+"}", next)
	if err != nil {
		t.Fatal(err)
	}
	token, err := mint.Sign("ES256", "ec-1", key, map[string]any{"exp": noon.Unix() + 300})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if token != "" {
			r.Header.Set("Approov-Token", token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	until(t, "the keys", func() bool { return ask(token) == http.StatusNoContent })
	if got := ask(""); got != http.StatusUnauthorized {
		t.Errorf("no token: got %d, want 401", got)
	}

	h, err = build(t, builder, fmt.Sprintf(`{%s, "control": {"url": "%s/control", "ca": %q, "keys": ["file:%s/p256-account.public.pem"]}}`, jwks, server.URL, authority, keys), next)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the bypass", func() bool { return ask("") == http.StatusNoContent })
	h, err = build(t, builder, fmt.Sprintf(`{%s, "preflight": "check"}`, jwks), next)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(""); got != http.StatusNoContent {
		t.Errorf("after a reload: got %d, want 204 as before", got)
	}
	b.set(t, noon.Add(time.Hour))
	if got := ask(""); got != http.StatusUnauthorized {
		t.Errorf("after the bypass has ended: got %d, want 401", got)
	}
}
