package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/traefik/paerser/file"
	"github.com/traefik/paerser/parser"
	"github.com/traefik/traefik/v3/pkg/plugins"

	"github.com/approovgate/approovgate/internal/conformance"
)

// load has Traefik's own loader check the bundle and interpret it.
func load(t *testing.T, b *bundle) *plugins.Builder {
	t.Helper()
	t.Chdir(b.dir)
	local := map[string]plugins.LocalDescriptor{"approov": {ModuleName: module}}
	if err := plugins.SetupLocalPlugins(local); err != nil {
		t.Fatal(err)
	}
	builder, err := plugins.NewBuilder(nil, nil, local)
	if err != nil {
		t.Fatal(err)
	}
	return builder
}

// dynamicFile is as much of a dynamic configuration as holds a plugin's.
type dynamicFile struct {
	HTTP struct {
		Middlewares map[string]struct{ Plugin map[string]map[string]any }
	}
}

// decoded is a plugin's configuration as Traefik's file provider hands it on.
func decoded(configuration string) (map[string]any, error) {
	var f dynamicFile
	err := file.DecodeContent(`{"http": {"middlewares": {"m": {"plugin": {"approov": `+configuration+`}}}}}`, ".yaml", &f)
	return f.HTTP.Middlewares["m"].Plugin["approov"], err
}

func build(t *testing.T, builder *plugins.Builder, configuration string, next http.Handler) (http.Handler, error) {
	t.Helper()
	c, err := decoded(configuration)
	if err != nil {
		t.Fatal(err)
	}
	construct, err := builder.Build("approov", c, "edge@file")
	if err != nil {
		t.Fatal(err)
	}
	return construct(t.Context(), next)
}

// TestCorpusInTraefiksLoader sends the whole corpus through the interpreted plugin, loaded as Traefik does it, behind
// net/http's server and in front of net/http's proxy.
func TestCorpusInTraefiksLoader(t *testing.T) {
	cases, err := conformance.Load(root + "/testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	b := newBundle(t)
	builder := load(t, b)
	start := func(h conformance.Host) (string, func(), error) {
		folder, err := os.MkdirTemp(b.dir, "secrets")
		if err != nil {
			return "", nil, err
		}
		policy, err := conformance.SecretsInFiles(h.Policy, folder)
		if err != nil {
			return "", nil, err
		}
		c, err := decoded(policy)
		if err != nil {
			return "", nil, err
		}
		upstream, err := url.Parse(h.Upstream)
		if err != nil {
			return "", nil, err
		}
		if err := put(b.clock, h.Now().Format(time.RFC3339Nano)); err != nil {
			return "", nil, err
		}
		next := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = upstream.Scheme, upstream.Host
			p.Out.URL.RawQuery = p.In.URL.RawQuery
		}}
		construct, err := builder.Build("approov", c, folder)
		if err != nil {
			return "", nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		handler, err := construct(ctx, next)
		if err != nil {
			cancel()
			return "", nil, err
		}
		server := httptest.NewUnstartedServer(handler)
		server.Config.DisableGeneralOptionsHandler = true
		server.Start()
		return server.Listener.Addr().String(), func() { cancel(); server.Close() }, nil
	}
	compare(t, cases, start, nil)
}

// compare runs the corpus and wants exactly the differences that have a reason.
func compare(t *testing.T, cases []conformance.Case, start conformance.Start, reasons map[string]string) {
	t.Helper()
	began, ran, skipped := time.Now(), 0, 0
	differed := map[string]bool{}
	conformance.Wire{Start: start}.Run(conformance.AllSizes(cases), func(r conformance.Result) {
		if r.Skipped != "" {
			skipped++
			return
		}
		ran++
		if len(r.Differences) == 0 {
			return
		}
		name := strings.Split(r.Case.File, " ")[0]
		differed[name] = true
		if reasons[name] == "" {
			t.Errorf("%s (%s): %s", r.Case.File, r.Case.Name, strings.Join(r.Differences, "; "))
		}
	})
	for name, reason := range reasons {
		if !differed[name] {
			t.Errorf("%s: got no difference, want one: %s", name, reason)
		}
	}
	t.Logf("%d cases in %s, %d of them differ for a listed reason, %d skipped because a plain socket has no peer or TLS to choose",
		ran, time.Since(began).Round(time.Millisecond), len(differed), skipped)
	if ran < 250 {
		t.Errorf("got %d cases, want at least 250", ran)
	}
}

// TestWhatPeersGetWrong asks for what other gates have let through.
func TestWhatPeersGetWrong(t *testing.T) {
	b := newBundle(t)
	reached := 0
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached++; w.WriteHeader(http.StatusNoContent) })
	h, err := build(t, load(t, b), fmt.Sprintf(`{"secretFile": %q}`, b.secret), next)
	if err != nil {
		t.Fatal(err)
	}
	good := genuine(t)
	for _, row := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"a genuine token", http.Header{"Approov-Token": {good}}, 204},
		{"an expired token", http.Header{"Approov-Token": {token(t, "HS256", map[string]any{"exp": noon.Unix() - 1})}}, 401},
		{"no exp", http.Header{"Approov-Token": {token(t, "HS256", map[string]any{"did": "device"})}}, 401},
		{"the same key with HS512", http.Header{"Approov-Token": {hs512(noon.Unix() + 300)}}, 401},
		{"a bad token beside a good Authorization", http.Header{"Approov-Token": {good + "x"}, "Authorization": {"Bearer " + good}}, 401},
		{"a good Authorization alone", http.Header{"Authorization": {"Bearer " + good}}, 401},
		{"two token headers", http.Header{"Approov-Token": {good, good}}, 401},
		{"a genuine token again, from the cache", http.Header{"Approov-Token": {good}}, 204},
	} {
		before := reached
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = row.header
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != row.want || reached-before != map[int]int{204: 1, 401: 0}[row.want] {
			t.Errorf("%s: got %d, and the backend %d times, want %d", row.name, w.Code, reached-before, row.want)
		}
	}
	b.set(t, noon.Add(time.Hour))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Approov-Token", good)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a token that expired in the cache: got %d, want 401", w.Code)
	}
}

// hs512 is a token under the account secret and an algorithm that its key does not name.
func hs512(exp int64) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS512","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, exp))
	mac := hmac.New(sha512.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// TestAFaultInterpreted: recover works in the interpreter, too, and a route stays closed.
func TestAFaultInterpreted(t *testing.T) {
	b := newBundle(t)
	builder := load(t, b)
	next := http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) { t.Error("the backend was reached") })
	configuration := fmt.Sprintf(`{"secretFile": %q}`, b.secret)
	h, err := build(t, builder, configuration, next)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.clock, "no time")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Approov-Token", genuine(t))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", w.Code)
	}
	if _, err := build(t, builder, fmt.Sprintf(`{"secretFile": %q, "mode": "log"}`, b.secret), next); err == nil || !strings.Contains(err.Error(), "edge@file: a fault of the plugin") {
		t.Errorf("New: got %v, want an error that says so", err)
	}
	b.set(t, noon)
	if _, err := build(t, builder, fmt.Sprintf(`{"secretFile": %q, "mode": "log"}`, b.secret), next); err != nil {
		t.Errorf("after the fault: got %v, want a middleware", err)
	}
}

// TestMistakesInterpreted: what an operator reads is whole in the interpreter, too.
func TestMistakesInterpreted(t *testing.T) {
	b := newBundle(t)
	builder := load(t, b)
	for configuration, wanted := range map[string][]string{
		`{}`: {"edge@file: keys: is missing"},
		`{"modes": "log", "preflight": "yes", "keys": [{"name": "a", "alg": "HS256", "secret": "inline:c2VjcmV0"}]}`: {
			"edge@file: keys[0].secret: an inline secret is refused here", "; modes: unknown key; did you mean mode?", "; preflight: must be exempt or check"},
		`{"secretFile": "/none"}`: {"edge@file: secretFile: file /none cannot be read"},
		`{"policyFile": "/none"}`: {"edge@file: policyFile: file /none cannot be read"},
	} {
		h, err := build(t, builder, configuration, http.NotFoundHandler())
		if err == nil || h != nil {
			t.Errorf("%s: got %v and %v, want an error alone", configuration, h, err)
			continue
		}
		contains(t, configuration, err.Error(), wanted...)
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: got %q, want one line without the secret", configuration, err)
		}
	}
}

// TestTheCatalogsTestData builds a middleware of the manifest's own testData, as the catalog's analyser does: with
// no file and no network.
func TestTheCatalogsTestData(t *testing.T) {
	b := newBundle(t)
	builder := load(t, b)
	manifest, err := plugins.ReadManifest("./plugins-local/", module)
	if err != nil {
		t.Fatal(err)
	}
	construct, err := builder.Build("approov", manifest.TestData, "test@catalog")
	if err != nil {
		t.Fatal(err)
	}
	h, err := construct(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/health": 204, "/": 401} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}

// TestLabelsAreUnderstood: Docker's labels know strings alone.
func TestLabelsAreUnderstood(t *testing.T) {
	b := newBundle(t)
	const at = "traefik.http.middlewares.m.plugin.approov."
	labels := map[string]string{
		at + "secretFile": b.secret, at + "token.max_bytes": "4096", at + "token.leeway": "5s",
		at + "routes[0].name": "open", at + "routes[0].paths": "/health,/ready", at + "routes[0].check": "none",
		at + "routes[1].name": "pay", at + "routes[1].paths[0]": "/pay", at + "routes[1].binding.from": "header:Authorization", at + "routes[1].binding.trim_scheme": "true",
	}
	var f dynamicFile
	if err := parser.Decode(labels, &f, "traefik", "traefik.http"); err != nil {
		t.Fatal(err)
	}
	c := f.HTTP.Middlewares["m"].Plugin["approov"]
	construct, err := load(t, b).Build("approov", c, "m@docker")
	if err != nil {
		t.Fatal(err)
	}
	h, err := construct(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	if err != nil {
		shown, _ := json.Marshal(c)
		t.Fatalf("%v\n%s", err, shown)
	}
	for path, want := range map[string]int{"/health": 204, "/ready": 204, "/": 204, "/pay": 401} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if path == "/pay" || path == "/" {
			r.Header.Set("Approov-Token", genuine(t))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}
