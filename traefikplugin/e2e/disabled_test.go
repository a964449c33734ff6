package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// twoRouters is a protected router of /v1 and a broader one, whose rule is to be filled in.
const twoRouters = `
http:
  routers:
    api: {rule: "PathPrefix(%[1]s/v1%[1]s)", entryPoints: [web], service: api, middlewares: [edge]}
    site: {rule: "%[2]s", entryPoints: [web], service: api}
  services:
    api: {loadBalancer: {servers: [{url: %[3]q}]}}
  middlewares:
    edge: {plugin: {approov: {secretFile: SECRET, modes: log}}}
`

const everything = "PathPrefix(`/`)"

// TestAMistakeDisablesTheRouter shows what an operator sees, the trap behind it, and two ways not to fall into it.
func TestAMistakeDisablesTheRouter(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		url, reached := backend(t)
		wrong := fmt.Sprintf(twoRouters, "`", everything, url)
		x := run(t, binary, wrong, nil)
		status, text := x.status("api")
		if status != "disabled" || !strings.Contains(text, "edge@file: modes: unknown key; did you mean mode?") {
			t.Errorf("the router: got %s, %q, want disabled and the mistake", status, text)
		}
		x.serving("/other", "", http.StatusNoContent)

		// The trap: the broader router matches what the disabled one would have.
		reached.Store(0)
		if got := x.ask("/v1/pay", ""); got != http.StatusNoContent || reached.Load() != 1 {
			t.Errorf("/v1 beside a broader router without the plugin: got %d, want it to be open, as docs/traefik.md warns", got)
		}

		// The first prevention: the broader rule leaves out what is protected.
		apart := fmt.Sprintf(twoRouters, "`", everything+" && !PathPrefix(`/v1`)", url)
		x.configure(strings.ReplaceAll(apart, "SECRET", x.secret))
		x.serving("/v1/pay", "", http.StatusNotFound)
		x.serving("/other", "", http.StatusNoContent)
		x.configure(strings.NewReplacer("SECRET", x.secret, ", modes: log", "").Replace(apart))
		x.serving("/v1/pay", "", http.StatusUnauthorized)
		x.serving("/v1/pay", genuine(t), http.StatusNoContent)
	})
}

// TestAnEntryPointsMiddlewareLeavesNoRouterOut is the second prevention: the plugin stands at the entry point.
func TestAnEntryPointsMiddlewareLeavesNoRouterOut(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		url, reached := backend(t)
		wrong := fmt.Sprintf(twoRouters, "`", everything, url)
		x := run(t, binary, wrong, func(x *traefik, static string) string {
			web := fmt.Sprintf("web: {address: %q}", x.web)
			return strings.Replace(static, web, fmt.Sprintf("web: {address: %q, http: {middlewares: [edge@file]}}", x.web), 1)
		})
		for _, router := range []string{"api", "site"} {
			if status, text := x.status(router); status != "disabled" || !strings.Contains(text, "modes: unknown key") {
				t.Errorf("%s: got %s, %q, want disabled and the mistake", router, status, text)
			}
		}
		for _, path := range []string{"/v1/pay", "/other"} {
			if got := x.ask(path, genuine(t)); got != http.StatusNotFound {
				t.Errorf("%s: got %d, want 404", path, got)
			}
		}
		if reached.Load() != 0 {
			t.Errorf("the backend: got %d requests, want none", reached.Load())
		}
		x.configure(strings.NewReplacer("SECRET", x.secret, ", modes: log", "").Replace(wrong))
		x.serving("/other", "", http.StatusUnauthorized)
		x.serving("/other", genuine(t), http.StatusNoContent)
	})
}

// TestAPluginThatDoesNotLoad: with abortOnPluginFailure Traefik does not start, without it every router that names the
// plugin is disabled.
func TestAPluginThatDoesNotLoad(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		url, reached := backend(t)
		spoil := func(x *traefik, static string) string {
			write(t, filepath.Join(x.dir, "plugins-local/src", module, "traefikplugin/cache.go"), "package traefikplugin\n\nfunc {\n")
			return static
		}
		x := prepare(t, edge(url, "secretFile: SECRET"), spoil)
		x.start(binary)
		select {
		case <-x.ended:
		case <-time.After(time.Minute):
			t.Error("with abortOnPluginFailure: got a Traefik that goes on, want none")
		}
		contains(t, "its log", x.logged(), "failed to create Yaegi interpreter")

		x = run(t, binary, edge(url, "secretFile: SECRET"), func(x *traefik, static string) string {
			return strings.Replace(spoil(x, static), "abortOnPluginFailure: true", "abortOnPluginFailure: false", 1)
		})
		if status, _ := x.status("api"); status != "disabled" {
			t.Errorf("without: got the router %s, want disabled", status)
		}
		if got := x.ask("/", genuine(t)); got != http.StatusNotFound || reached.Load() != 0 {
			t.Errorf("without: got %d, want 404", got)
		}
	})
}

// TestTheConfigurationIsShownInClear is why inline secrets are refused.
func TestTheConfigurationIsShownInClear(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		url, _ := backend(t)
		x := run(t, binary, edge(url, `keys: [{name: account, alg: HS256, secret: "inline:c2hvd24gaW4gY2xlYXI"}]`), nil)
		status, text := x.status("api")
		if status != "disabled" || !strings.Contains(text, "keys[0].secret: an inline secret is refused here") || strings.Contains(text, "c2hvd24") {
			t.Errorf("got %s, %q, want it refused and not repeated", status, text)
		}
		contains(t, "the API", x.get("/api/http/middlewares/edge@file"), "c2hvd24gaW4gY2xlYXI")
		x.configure(strings.ReplaceAll(edge(url, "secretFile: SECRET"), "SECRET", x.secret))
		x.serving("/", genuine(t), http.StatusNoContent)
		text = x.get("/api/http/middlewares/edge@file") + x.get("/debug/vars") + x.logged()
		for _, hidden := range []string{string(secret[:20]), genuine(t), strings.TrimSpace(read(t, x.secret))[:20]} {
			if strings.Contains(text, hidden) {
				t.Errorf("got %q in what Traefik shows and logs, want it nowhere", hidden)
			}
		}
	})
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
