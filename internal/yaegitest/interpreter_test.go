package yaegitest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

const (
	root   = "../.."
	module = "github.com/approovgate/approovgate"
)

// interpreted loads testdata/asker.go and returns one of its functions.
func interpreted(t *testing.T, name string) func(policy, now, peer, scheme, request string) string {
	t.Helper()
	i := interpreter(t, "asker")
	function, err := i.Eval("asker." + name)
	if err != nil {
		t.Fatal(err)
	}
	ask, ok := function.Interface().(func(policy, now, peer, scheme, request string) string)
	if !ok {
		t.Fatalf("got %T, want the type of Ask and Show", function.Interface())
	}
	return ask
}

// interpreter loads a package the way Traefik loads a local plugin: sources below a GOPATH, the standard library
// compiled in, everything else interpreted.
func interpreter(t testing.TB, path string) *interp.Interpreter {
	t.Helper()
	gopath := t.TempDir()
	copySources(t, gopath, "./internal/liveask")
	asker, err := os.ReadFile("testdata/asker.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(gopath, "src", "asker", "asker.go"), asker)
	return imported(t, gopath, path)
}

// imported is an interpreter that has imported a package below a GOPATH.
func imported(t testing.TB, gopath, path string) *interp.Interpreter {
	t.Helper()
	i := interp.New(interp.Options{GoPath: gopath, Unrestricted: false})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Eval(`import "` + path + `"`); err != nil {
		t.Fatalf("import: %v", err)
	}
	return i
}

// copySources copies a package and what it uses, chosen by the go tool, so that tests and files for other
// systems never reach the interpreter.
func copySources(t testing.TB, gopath, of string) {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}|{{.Dir}}|{{join .GoFiles " "}}{{end}}`, of)
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
			t.Fatalf("got an import of %s; the interpreted packages use the standard library alone", fields[0])
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

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
