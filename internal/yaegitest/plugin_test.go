package yaegitest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/conformance"
	"github.com/approovgate/approovgate/mint"
)

// plugin is the Traefik plugin in the interpreter, called as Traefik calls it.
type plugin struct {
	clock        string // file that holds the time
	create, make reflect.Value
}

func newPlugin(t *testing.T) *plugin {
	t.Helper()
	gopath := t.TempDir()
	copySources(t, gopath, "./traefikplugin")
	p := &plugin{clock: filepath.Join(t.TempDir(), "clock")}
	write(t, filepath.Join(gopath, "src", module, "traefikplugin/clock.go"), fmt.Appendf(nil, pluginClock, p.clock))
	i := imported(t, gopath, module+"/traefikplugin")
	for name, into := range map[string]*reflect.Value{"CreateConfig": &p.create, "New": &p.make} {
		value, err := i.Eval("traefikplugin." + name)
		if err != nil {
			t.Fatal(err)
		}
		*into = value
	}
	return p
}

// pluginClock stands in for clock.go.
const pluginClock = `package traefikplugin

import (
	"os"
	"time"
)

var now = readClock

func readClock() time.Time {
	text, err := os.ReadFile(%q)
	if err != nil {
		return time.Time{} // the test is over, and its folder gone
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		panic(err)
	}
	return at
}

func elapsed() time.Duration { return 0 }
`

// open makes a middleware of a configuration in JSON.
func (p *plugin) open(configuration, name string, next http.Handler) (http.Handler, error) {
	c := p.create.Call(nil)[0]
	if err := json.Unmarshal([]byte(configuration), c.Interface()); err != nil {
		return nil, err
	}
	made := p.make.Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(next), c, reflect.ValueOf(name)})
	if err, failed := made[1].Interface().(error); failed {
		return nil, err
	}
	h, ok := made[0].Interface().(http.Handler)
	if !ok {
		return nil, errors.New("got no handler")
	}
	return h, nil
}

// TestPluginInterpreted sends the corpus through the interpreted plugin, each case at one size of the policy.
func TestPluginInterpreted(t *testing.T) {
	cases, err := conformance.Load(filepath.Join(root, "testdata", "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	p := newPlugin(t)
	n, ran := 0, 0
	start := func(h conformance.Host) (string, func(), error) {
		n++
		write(t, p.clock, []byte(h.Now().Format(time.RFC3339Nano)))
		policy, err := conformance.SecretsInFiles(h.Policy, t.TempDir())
		if err != nil {
			return "", nil, err
		}
		upstream, err := url.Parse(h.Upstream)
		if err != nil {
			return "", nil, err
		}
		handler, err := p.open(policy, fmt.Sprintf("corpus%d@file", n), &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = upstream.Scheme, upstream.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		}})
		if err != nil {
			return "", nil, err
		}
		server := httptest.NewUnstartedServer(handler)
		server.Config.DisableGeneralOptionsHandler = true
		server.Start()
		return server.Listener.Addr().String(), server.Close, nil
	}
	conformance.Wire{Start: start}.Run(cases, func(r conformance.Result) {
		if r.Skipped != "" {
			return
		}
		ran++
		for _, difference := range r.Differences {
			t.Errorf("%s (%s): %s", r.Case.File, r.Case.Name, difference)
		}
	})
	if ran < 250 {
		t.Errorf("ran %d cases, want at least 250", ran)
	}
}

// TestPluginRefusesInterpreted asks for what interpreted gates have let through before, and for mistakes.
func TestPluginRefusesInterpreted(t *testing.T) {
	const noon = 1896091200 // 2030-01-31T12:00:00Z
	secret := []byte("TEST KEY, never use: 64 bytes of a secret for an interpreted plugin")
	file := filepath.Join(t.TempDir(), "approov.secret")
	write(t, file, []byte(base64.StdEncoding.EncodeToString(secret)))
	p := newPlugin(t)
	write(t, p.clock, []byte("2030-01-31T12:00:00Z"))
	h, err := p.open(fmt.Sprintf(`{"secretFile": %q}`, file), "edge@file", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	if err != nil {
		t.Fatal(err)
	}
	for exp, want := range map[int]int{noon + 60: 204, noon - 60: 401} {
		token, err := mint.Sign("HS256", "", secret, map[string]any{"exp": exp})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Approov-Token", token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a token that expires at %d: got %d, want %d", exp, w.Code, want)
		}
	}
	for configuration, want := range map[string]string{
		`{}`: "edge@file: keys: is missing",
		`{"keys": [{"name": "a", "alg": "HS256", "secret": "inline:c2VjcmV0"}]}`: "edge@file: keys[0].secret: an inline secret is refused here",
		fmt.Sprintf(`{"secretFile": %q, "modes": "log"}`, file):                  "edge@file: modes: unknown key; did you mean mode?",
	} {
		if _, err := p.open(configuration, "edge@file", http.NotFoundHandler()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", configuration, err, want)
		}
	}
}
