package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	root     = "../.."
	patience = 30 * time.Second // how long a test waits for what must happen
)

// built is the sidecar's executable, and h2spec the conformance tester's.
var built, h2spec string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "approovgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built, h2spec = filepath.Join(dir, "approovgate"), filepath.Join(dir, "h2spec")
	for _, build := range []struct{ dir, out, path string }{
		{root, built, "./cmd/approovgate"},
		{".", h2spec, "github.com/summerwind/h2spec/cmd/h2spec"},
	} {
		command := exec.Command("go", "build", "-o", build.out, build.path)
		command.Dir = build.dir
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", build.path, err, out)
			return 1
		}
	}
	return m.Run()
}

// program is the path of an external program. Without it the test is skipped, or fails where everything must be there.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not there; apt-get install %s", name, debianPackage)
	}
	t.Skipf("%s is not there; apt-get install %s", name, debianPackage)
	return ""
}
