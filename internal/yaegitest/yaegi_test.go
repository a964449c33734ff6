package yaegitest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/approovgate/approovgate/internal/conformance"
)

const (
	root   = "../.."
	module = "github.com/approovgate/approovgate"
)

// TestCorpusInterpreted runs every case of the corpus in the interpreter.
func TestCorpusInterpreted(t *testing.T) {
	cases, err := conformance.Load(filepath.Join(root, "testdata", "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	ask := interpreted(t)
	asked := 0
	for _, c := range conformance.AllSizes(cases) {
		t.Run(c.File, func(t *testing.T) {
			if c.Want.RefusedBy == conformance.RefusedByHost {
				return // net/http answers; the gate is never asked
			}
			plain, err := c.Plain()
			if err != nil {
				t.Fatal(err)
			}
			peer := plain.Peer
			if peer == "" {
				peer = "192.0.2.1:4711"
			}
			asked++
			answer := ask(string(plain.Policy), plain.Now, peer, plain.Scheme, string(plain.Request))
			var got struct {
				conformance.Outcome
				Error string
			}
			if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Error != "" {
				t.Fatalf("got answer %s (%v), want an outcome", answer, err)
			}
			for _, difference := range c.Compare(got.Outcome) {
				t.Error(difference)
			}
		})
	}
	if asked < 250 {
		t.Errorf("asked %d cases, want at least 250", asked)
	}
}

// interpreted loads the interpreted side the way Traefik loads a local plugin: sources below a GOPATH,
// the standard library compiled in, everything else interpreted.
func interpreted(t *testing.T) func(policy, now, peer, scheme, request string) string {
	t.Helper()
	gopath := t.TempDir()
	copySources(t, gopath)
	asker, err := os.ReadFile("testdata/asker.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(gopath, "src", "asker", "asker.go"), asker)
	i := interp.New(interp.Options{GoPath: gopath, Unrestricted: false})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Eval(`import "asker"`); err != nil {
		t.Fatalf("import: %v", err)
	}
	function, err := i.Eval("asker.Ask")
	if err != nil {
		t.Fatal(err)
	}
	ask, ok := function.Interface().(func(policy, now, peer, scheme, request string) string)
	if !ok {
		t.Fatalf("got %T, want Ask's type", function.Interface())
	}
	return ask
}

// copySources copies what the gate is made of, chosen by the go tool, so that tests and files for other
// systems never reach the interpreter.
func copySources(t *testing.T, gopath string) {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}|{{.Dir}}|{{join .GoFiles " "}}{{end}}`, "./gate")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Split(line, "|")
		if len(fields) != 3 {
			continue
		}
		if !strings.HasPrefix(fields[0], module+"/") {
			t.Fatalf("the gate imports %s; the interpreted packages use the standard library alone", fields[0])
		}
		for _, file := range strings.Fields(fields[2]) {
			text, err := os.ReadFile(filepath.Join(fields[1], file))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(gopath, "src", fields[0], file), text)
		}
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
