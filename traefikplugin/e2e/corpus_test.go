package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/conformance"
)

// traefikItself are the cases of the corpus that come out otherwise behind a real Traefik, whatever the plugin does.
var traefikItself = map[string]string{
	"headers/connection-binding":             hopByHop,
	"headers/connection-token":               hopByHop,
	"targets/query-semicolon":                "Traefik turns ; in a query into & on the way to the backend",
	"modes/bypass-connect":                   "Traefik writes escapes in capitals",
	"targets/canonical-dot-final":            cleaned + ", without the slash at the end",
	"targets/canonical-dots-final":           cleaned + ", without the slash at the end",
	"targets/refused-above-root":             cleaned,
	"targets/refused-above-root-encoded":     cleaned,
	"targets/refused-above-root-later":       cleaned,
	"targets/refused-absolute-fragment":      fragment,
	"targets/refused-fragment":               fragment,
	"targets/refused-fragment-public":        fragment,
	"targets/public-left-fragment":           fragment,
	"targets/refused-no-authority":           originForm,
	"targets/refused-other-scheme":           originForm,
	"targets/refused-userinfo":               originForm,
	"targets/refused-options-star":           "net/http answers OPTIONS * before any router",
	"targets/refused-options-star-preflight": "net/http answers OPTIONS * before any router",
	"targets/refused-star":                   "no router matches *",
}

const (
	hopByHop   = "Traefik deletes the headers that Connection names before any middleware: the token or what it is bound to is gone"
	cleaned    = "Traefik cleans the path before any middleware (sanitizePath), and the plugin judges what is left"
	fragment   = "Traefik refuses # itself, with 400"
	originForm = "Traefik makes origin-form of absolute targets before any middleware, and the plugin judges what is left"
)

// TestCorpusInTraefik sends the whole corpus through real Traefik processes: each policy is a dynamic configuration,
// which replaces the one before.
func TestCorpusInTraefik(t *testing.T) {
	cases, err := conformance.Load(root + "/testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	eachTraefik(t, func(t *testing.T, binary string) {
		x := run(t, binary, "{}", nil)
		n := 0
		start := func(h conformance.Host) (string, func(), error) {
			n++
			folder, err := os.MkdirTemp(x.dir, "secrets")
			if err != nil {
				return "", nil, err
			}
			policy, err := conformance.SecretsInFiles(h.Policy, folder)
			if err != nil {
				return "", nil, err
			}
			if err := put(x.clock, h.Now().Format(time.RFC3339Nano)); err != nil {
				return "", nil, err
			}
			name := fmt.Sprintf("corpus%d", n)
			x.configure(fmt.Sprintf(`{"http": {
				"routers": {"%[1]s": {"rule": "PathPrefix(`+"`/`"+`)", "entryPoints": ["web"], "service": "%[1]s", "middlewares": ["%[1]s"]},
					"mark": {"rule": "Path(`+"`/%[1]s`"+`)", "entryPoints": ["web"], "service": "noop@internal"}},
				"services": {"%[1]s": {"loadBalancer": {"servers": [{"url": %[2]q}]}}},
				"middlewares": {"%[1]s": {"plugin": {"approov": %[3]s}}}}}`, name, h.Upstream, policy))
			x.serving("/"+name, "", http.StatusTeapot) // that the API knows a configuration does not say that it is in force
			status, problem := x.status(name)
			if status != "enabled" {
				return "", nil, errors.New(problem)
			}
			return x.web, func() {}, nil
		}
		compare(t, cases, start, traefikItself)
		if strings.Contains(x.logged(), "panic") {
			t.Error("got a panic in Traefik's log")
		}
	})
}
