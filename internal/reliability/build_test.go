//go:build linux

package reliability

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	// What the sidecar is built from, so that go test does not take these tests for unchanged when that changes.
	_ "github.com/approovgate/approovgate/internal/sdnotify"
	_ "github.com/approovgate/approovgate/internal/testclock"
	_ "github.com/approovgate/approovgate/proxy"
)

// program is the sidecar, built once; settable is one whose clock tests can set. Whoever asks first waits for it.
var (
	program  = sync.OnceValues(func() (string, error) { return build("approovgate") })
	settable = sync.OnceValues(func() (string, error) { return build("approovgate-testclock", "-tags", "approovgate_testclock") })
)

// folder holds what is built.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "approovgate-reliability") })

func build(name string, flags ...string) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob("../../cmd/approovgate/*.go")
	if err != nil {
		return "", err
	}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil { // go test notes what its tests have read
			return "", err
		}
	}
	path := filepath.Join(dir, name)
	command := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, "./cmd/approovgate")...)
	command.Dir = "../.."
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveVariable); dir != "" {
		if err := serveDocuments(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	_ = flag.Set("test.parallel", "8") // such tests wait more than they work; go test -parallel replaces it
	code := m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir) // in the system's folder for such things
	}
	os.Exit(code)
}
