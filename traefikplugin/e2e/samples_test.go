package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/porttest"
)

const samples = root + "/deploy/traefik/"

// replaced is a text in which each of old, which must be there, has become what follows it.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the sample has no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// TestTheFilesAreServed starts Traefik with traefik.yml and dynamic.yml, with addresses and paths of the test's own.
func TestTheFilesAreServed(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		url, _ := backend(t)
		metrics := porttest.Free(t)
		var routes string
		x := prepare(t, "{}", func(x *traefik, _ string) string {
			routes = replaced(t, read(t, samples+"dynamic.yml"), "http://127.0.0.1:9000", url, "/run/secrets/approov.secret", x.secret,
				"127.0.0.1:9902", metrics, "/var/lib/approovgate/control.json", filepath.Join(x.dir, "control.json"))
			return replaced(t, read(t, samples+"traefik.yml"), `":8080"`, `"`+x.web+`"`, "/etc/traefik/dynamic.yml", filepath.Join(x.dir, "dynamic", "dynamic.yml")) +
				"api: {insecure: true, debug: true}\nglobal: {checkNewVersion: false}\n"
		})
		static := replaced(t, read(t, filepath.Join(x.dir, "traefik.yml")), "entryPoints:\n", "entryPoints:\n  traefik: {address: \""+x.api+"\"}\n")
		write(t, filepath.Join(x.dir, "traefik.yml"), static)
		x.configure(routes)
		x.start(binary)
		ask := func(method, path, token string) int {
			r, err := http.NewRequest(method, "http://"+x.web+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "api.example.com"
			if token != "" {
				r.Header.Set("Approov-Token", token)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				return 0
			}
			_ = response.Body.Close()
			return response.StatusCode
		}
		until(t, "the sample to be served", func() bool { return ask("GET", "/", "") == http.StatusNoContent }) // in mode log
		x.configure(replaced(t, routes, "mode: log ", "mode: enforce "))
		until(t, "the sample to enforce", func() bool { return ask("GET", "/", "") == http.StatusUnauthorized })
		for _, row := range []struct {
			method, path, token string
			want                int
		}{{"GET", "/health", "", 204}, {"GET", "/", genuine(t), 204}, {"POST", "/v1/transfers", genuine(t), 401}} {
			if got := ask(row.method, row.path, row.token); got != row.want {
				t.Errorf("%s %s: got %d, want %d", row.method, row.path, got, row.want)
			}
		}
		response, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			t.Errorf("metrics: got %d, want 200", response.StatusCode)
		}
	})
}

// TestTheManualsExamples holds what docs/traefik.md shows.
func TestTheManualsExamples(t *testing.T) {
	text := read(t, root+"/docs/traefik.md")
	var plugin map[string]any
	for i, block := range strings.Split(text, "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		var anything map[string]any
		if err := yaml.UnmarshalStrict([]byte(block), &anything); err != nil {
			t.Errorf("block %d: %v", i+1, err)
		}
		if strings.Contains(block, "plugin:") {
			var f dynamic.Configuration
			if err := file.DecodeContent(block, ".yaml", &f); err != nil {
				t.Fatal(err)
			}
			plugin = f.HTTP.Middlewares["edge"].Plugin["approov"]
		}
	}
	answers(t, plugin, map[string]int{"GET /": 204}) // in mode log
	plugin["mode"] = "enforce"
	answers(t, plugin, map[string]int{"GET /": 401})

	document := regexp.MustCompile(`(?m)^\{"version".*$`).FindString(text)
	tree, problems := gate.ParseJSON([]byte(document))
	control, found := config.DecodeControl(tree)
	if config.Failed(append(problems, found...)) || control.Mode != config.Bypass || control.Until.IsZero() {
		t.Errorf("the control document: got %v, %v, want a bypass with an end", control, append(problems, found...))
	}
}

// compose is as much of a compose file as the sample needs. Docker itself is not asked: that the file is one is held
// by decoding it strictly.
type compose struct {
	Services map[string]struct {
		Image   string            `json:"image"`
		Command []string          `json:"command"`
		Ports   []string          `json:"ports"`
		Secrets []string          `json:"secrets"`
		Volumes []string          `json:"volumes"`
		Labels  map[string]string `json:"labels"`
	} `json:"services"`
	Secrets map[string]struct {
		File string `json:"file"`
	} `json:"secrets"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.UnmarshalStrict([]byte(read(t, samples+"compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTheComposeFilesLabelsMakeAMiddleware decodes the sample's labels as Traefik does.
func TestTheComposeFilesLabelsMakeAMiddleware(t *testing.T) {
	c := readCompose(t)
	decoded, err := label.DecodeConfiguration(c.Services["api"].Labels)
	if err != nil {
		t.Fatal(err)
	}
	names := c.Services["traefik"].Secrets
	plugin := decoded.HTTP.Middlewares["edge"].Plugin["approov"]
	if len(names) != 1 || plugin["secretFile"] != "/run/secrets/"+names[0] || c.Secrets[names[0]].File == "" {
		t.Errorf("got secretFile %v and secrets %v, want the file that Docker mounts", plugin["secretFile"], names)
	}
	answers(t, plugin, map[string]int{"GET /health": 204, "GET /": 204, "POST /v1/transfers": 204}) // in mode log
	plugin["mode"] = "enforce"
	answers(t, plugin, map[string]int{"GET /health": 204, "GET /": 401, "POST /v1/transfers": 401})
}

// answers builds a middleware with the test's secret, and asks it without tokens.
func answers(t *testing.T, plugin map[string]any, want map[string]int) {
	t.Helper()
	t.Run("built", func(t *testing.T) {
		b := newBundle(t)
		plugin["secretFile"] = b.secret
		construct, err := load(t, b).Build("approov", plugin, "edge@test")
		if err != nil {
			t.Fatal(err)
		}
		h, err := construct(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		if err != nil {
			t.Fatal(err)
		}
		for request, status := range want {
			method, path, _ := strings.Cut(request, " ")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != status {
				t.Errorf("%s: got %d, want %d", request, w.Code, status)
			}
		}
	})
}

// TestTheComposeFilesFlagsStartTraefik starts Traefik with the sample's command. Its Docker is a socket that is not there.
func TestTheComposeFilesFlagsStartTraefik(t *testing.T) {
	eachTraefik(t, func(t *testing.T, binary string) {
		x := prepare(t, "{}", nil)
		if err := os.Remove(filepath.Join(x.dir, "traefik.yml")); err != nil {
			t.Fatal(err)
		}
		arguments := strings.Split(replaced(t, strings.Join(readCompose(t).Services["traefik"].Command, "\n"), "=:8080", "="+x.web), "\n")
		arguments = append(arguments, "--providers.docker.endpoint=unix://"+filepath.Join(x.dir, "no.sock"), "--entrypoints.traefik.address="+x.api,
			"--api.insecure=true", "--global.checknewversion=false", "--log.level=INFO")
		x.begin(exec.Command(binary, arguments...))
		until(t, "Traefik to serve", func() bool { return x.get("/api/version") != "" })
		contains(t, "its log", x.logged(), "Plugins loaded")
	})
}

// TestTheKubernetesSamples decodes the manifests strictly into Traefik's and the Gateway API's own types. There is no
// cluster; what the Middleware holds goes through the loader.
func TestTheKubernetesSamples(t *testing.T) {
	documents := strings.Split(read(t, samples+"kubernetes-middleware.yaml"), "\n---\n")
	if len(documents) != 2 {
		t.Fatalf("got %d documents, want 2", len(documents))
	}
	var middleware v1alpha1.Middleware
	var ingress v1alpha1.IngressRoute
	var route gateway.HTTPRoute
	for into, text := range map[any]string{&middleware: documents[0], &ingress: documents[1], &route: read(t, samples+"gateway-api.yaml")} {
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if got := ingress.Spec.Routes[0].Middlewares[0].Name; middleware.Kind != "Middleware" || ingress.Kind != "IngressRoute" || got != middleware.Name {
		t.Errorf("the IngressRoute names %s, want %s", got, middleware.Name)
	}
	filter := route.Spec.Rules[0].Filters[0]
	if route.Kind != "HTTPRoute" || filter.Type != gateway.HTTPRouteFilterExtensionRef || filter.ExtensionRef == nil ||
		string(filter.ExtensionRef.Name) != middleware.Name || filter.ExtensionRef.Group != v1alpha1.GroupName || filter.ExtensionRef.Kind != "Middleware" {
		t.Errorf("the HTTPRoute's filter is %+v, want the Middleware %s", filter, middleware.Name)
	}
	var plugin map[string]any
	if err := json.Unmarshal(middleware.Spec.Plugin["approov"].Raw, &plugin); err != nil {
		t.Fatal(err)
	}
	answers(t, plugin, map[string]int{"GET /health": 204, "GET /": 204})
	plugin["mode"] = "enforce"
	answers(t, plugin, map[string]int{"GET /health": 204, "GET /": 401})
}
