// Package layout holds tests of the repository's shape: which package may import what, which modules
// the project depends on, and what the interpreted packages may be written in. It has no code.
package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/approovgate/approovgate"
)

// dialect are the packages that Yaegi interprets, and the packages of the project each may import.
var dialect = map[string][]string{
	"jose":   {},
	"token":  {"jose"},
	"config": {},
	"engine": {"config", "jose", "token"},
	"source": {},
	"gate":   {"config", "engine", "jose", "source", "token"},

	"traefikplugin": {"config", "engine", "gate", "source"},

	"internal/liveask": {"config", "engine", "gate"}, // a test's, which is interpreted like a plugin
}

// arrows are what compiled packages may reach, at any depth, beside themselves: packages of the project
// and modules.
var arrows = map[string]struct{ packages, modules []string }{
	"mint":                 {[]string{"jose", "token"}, []string{"github.com/golang-jwt/jwt/v5"}},
	"internal/host":        {gateSide("internal/host", "internal/logline"), hostModules},
	"internal/controlsign": {[]string{"config", "jose", "source"}, nil},
	"internal/logline":     {nil, nil},
	"internal/testclock":   {nil, nil},
	"internal/tracing":     {nil, tracingModules},
	"proxy":                {gateSide("internal/h1", "internal/host", "internal/logline", "internal/tracing", "proxy"), append(tracingModules, proxyModules...)},
	"cmd/approovgate": {gateSide("internal/controlsign", "internal/h1", "internal/host", "internal/logline", "internal/sdnotify", "internal/testclock", "internal/tracing", "proxy", "cmd/approovgate"),
		append(append([]string{"github.com/coreos/go-systemd/v22"}, tracingModules...), proxyModules...)},
	"caddymodule":     {gateSide("internal/host", "internal/logline", "internal/testclock", "caddymodule"), anyModule},
	"cmd/caddy":       {gateSide("internal/host", "internal/logline", "internal/testclock", "caddymodule"), anyModule},
	"internal/layout": {nil, nil},

	// What apps and people have in their hands links no server, and nothing from elsewhere.
	"attestapi":             {[]string{"jose", "attestapi"}, nil},
	"measure":               {[]string{"jose", "attestapi", "measure"}, nil},
	"sdk":                   {[]string{"jose", "attestapi", "measure", "token", "sdk"}, nil},
	"internal/manageclient": {[]string{"jose", "attestapi", "internal/manageclient"}, nil},
	"pins":                  {[]string{"pins"}, nil},
	"measure/mobile":        {append(packages, "jose", "attestapi", "measure", "measure/mobile"), nil},
	"cmd/approov":           {append(packages, "jose", "attestapi", "internal/manageclient", "measure", "measure/mobile", "pins", "source", "cmd/approov"), nil},
	"attestserver/account":  {issuing("attestserver/account"), []string{"github.com/golang-jwt/jwt/v5"}},
	"attestserver/issue":    {issuing("attestserver/account", "attestserver/issue", "internal/controlsign", "source"), []string{"github.com/golang-jwt/jwt/v5"}},
	"attestserver/store":    {issuing("attestserver/account", "attestserver/store"), []string{"github.com/golang-jwt/jwt/v5"}},
	"attestserver/seal":     {[]string{"source", "attestserver/seal"}, nil},
	"attestserver/evidence": {issuing("attestserver/account", "attestserver/evidence", "attestserver/issue", "internal/controlsign", "source"), []string{"github.com/golang-jwt/jwt/v5"}},
	"attestserver/pinwatch": {issuing("attestserver/account", "attestserver/pinwatch", "pins", "source"), append([]string{"github.com/golang-jwt/jwt/v5"}, hostModules...)},
	"attestserver":          {issuing(serving...), append([]string{"github.com/golang-jwt/jwt/v5"}, hostModules...)},
	"attestserver/manage":   {issuing(append(serving, "attestserver/manage")...), []string{"github.com/danielgtaylor/huma/v2", "github.com/golang-jwt/jwt/v5", "golang.org/x/time"}},
}

// packages are what reads the files of mobile apps.
var packages = []string{"measure/apk", "measure/axml", "measure/ipa", "measure/macho", "measure/plist", "measure/zipfile"}

// serving are the packages of the attestation service that answer.
var serving = []string{"attestserver", "attestserver/account", "attestserver/evidence", "attestserver/issue", "attestserver/store", "internal/controlsign", "internal/logline", "source"}

func issuing(more ...string) []string {
	return append([]string{"jose", "token", "config", "attestapi", "mint"}, more...)
}

// anyModule is for what is built into Caddy, which has some two hundred.
var anyModule = []string{"*"}

var tracingModules = []string{
	"github.com/cespare/xxhash/v2", "github.com/go-logr/logr", "github.com/go-logr/stdr", "github.com/google/uuid",
	"go.opentelemetry.io/auto/sdk", "go.opentelemetry.io/otel", "go.opentelemetry.io/otel/exporters/otlp/otlptrace",
	"go.opentelemetry.io/otel/log", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/sdk",
	"go.opentelemetry.io/otel/trace", "go.opentelemetry.io/proto/otlp", "golang.org/x/sys", "google.golang.org/protobuf",
}

var hostModules = []string{
	"github.com/beorn7/perks", "github.com/cespare/xxhash/v2", "github.com/fsnotify/fsnotify", "github.com/hashicorp/golang-lru/v2", "github.com/munnerz/goautoneg",
	"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "github.com/prometheus/common",
	"github.com/prometheus/procfs", "go.yaml.in/yaml/v3", "golang.org/x/sys", "google.golang.org/protobuf",
}

var proxyModules = append([]string{"github.com/pires/go-proxyproto"}, hostModules...)

func gateSide(more ...string) []string {
	return append([]string{"jose", "token", "config", "engine", "source", "gate"}, more...)
}

// listed is what the go tool says of a package.
type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Standard   bool
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
	Module     *struct{ Path string }
}

func list(t *testing.T, arguments ...string) []listed {
	t.Helper()
	command := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Doc,Standard,Imports,Deps,GoFiles,Dir,Module"}, arguments...)...)
	command.Dir = root
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func short(path string) string { return strings.TrimPrefix(path, module+"/") }

func contains(list []string, wanted string) bool {
	for _, member := range list {
		if member == wanted {
			return true
		}
	}
	return false
}

func TestDialectPackagesImportTheStandardLibraryAndEachOther(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	for name, allowed := range dialect {
		for _, imported := range list(t, "./"+name)[0].Imports {
			switch {
			case imported == "unsafe" || imported == "syscall" || imported == "embed":
				t.Errorf("%s imports %s, which Yaegi does not have", name, imported)
			case !standard[imported] && !contains(allowed, short(imported)):
				t.Errorf("%s imports %s, want the standard library or %v", name, imported, allowed)
			}
		}
	}
}

func TestCompiledPackagesFollowTheArrows(t *testing.T) {
	packages := map[string]listed{}
	for _, p := range list(t, "-deps", "./...") {
		packages[p.ImportPath] = p
	}
	for name, allowed := range arrows {
		for _, dependency := range packages[module+"/"+name].Deps {
			p := packages[dependency]
			switch {
			case p.Standard || p.Module == nil:
			case p.Module.Path == module:
				if !contains(allowed.packages, short(dependency)) {
					t.Errorf("%s reaches %s, want only %v", name, short(dependency), allowed.packages)
				}
			case contains(allowed.modules, "*"):
			case !contains(allowed.modules, p.Module.Path):
				t.Errorf("%s reaches %s, want only %v", name, dependency, allowed.modules)
			}
		}
	}
}

// Whoever runs the sidecar alone should not carry Caddy.
func TestCaddyIsBelowItsModuleAlone(t *testing.T) {
	for _, p := range list(t, "./...") {
		if strings.HasPrefix(short(p.ImportPath), "caddymodule") || strings.HasPrefix(short(p.ImportPath), "cmd/caddy") {
			continue
		}
		for _, dependency := range p.Deps {
			if strings.HasPrefix(dependency, "github.com/caddyserver/") {
				t.Errorf("%s reaches %s, want that of caddymodule and cmd/caddy alone", short(p.ImportPath), dependency)
			}
		}
	}
}

// The catalog of Traefik's plugins refuses a module that requires the interpreter.
func TestRootModuleRequiresNeitherYaegiNorTraefik(t *testing.T) {
	text, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "github.com/traefik/") {
		t.Error("go.mod requires a module of github.com/traefik; the nested modules alone may")
	}
}

func TestEveryDirectDependencyIsReviewed(t *testing.T) {
	reviewed := map[string]bool{}
	text, err := os.ReadFile(root + "/deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] != "#" {
			reviewed[fields[0]] = true
			if len(fields) < 4 {
				t.Errorf("deps.txt: %s has no reason beside it", fields[0])
			}
		}
	}
	command := exec.Command("go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	direct := strings.Fields(string(out))
	sort.Strings(direct)
	for _, path := range direct {
		if !reviewed[path] {
			t.Errorf("%s is a dependency without a line in deps.txt", path)
		}
		delete(reviewed, path)
	}
	for path := range reviewed {
		t.Errorf("deps.txt has %s, which is no direct dependency", path)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t, "./...") {
		if p.Name != "layout" && len(p.Doc) < 20 {
			t.Errorf("%s has the package comment %q, want one that says what it owns", p.ImportPath, p.Doc)
		}
	}
}
