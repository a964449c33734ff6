package deploy

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	// What the sidecar is built from, so that go test does not take these tests for unchanged when that changes.
	_ "github.com/approovgate/approovgate/internal/sdnotify"
	_ "github.com/approovgate/approovgate/proxy"
)

// build is the sidecar, built with the given flags for the go tool.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	sources, err := filepath.Glob("../cmd/approovgate/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil { // go test notes what its tests have read
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "approovgate")
	command := exec.Command("go", append(append([]string{"build"}, flags...), "-o", program, "./cmd/approovgate")...)
	command.Dir = ".."
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// testKey is the account's secret in these tests: a test key, of no account.
var testKey = bytes.Repeat([]byte("approovgate test key of 32 bytes"), 2)

func testSecret(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(testKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// checkGateFile has the program check a gate file, in which not even a warning is wanted.
func checkGateFile(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(build(t), "check", "--config", path).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "OK: ") {
		t.Errorf("approovgate check: %v, want OK and nothing else\n%s", err, out)
	}
}

// TestTheManifestsGateFileIsRight takes the gate file out of the ConfigMap and the secret's mode out of its volume.
func TestTheManifestsGateFileIsRight(t *testing.T) {
	text, err := os.ReadFile("kubernetes/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Kind string            `yaml:"kind"`
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil || config.Kind != "ConfigMap" {
		t.Fatalf("got %q first in the manifest (%v), want the ConfigMap", config.Kind, err)
	}
	const mounted = "/run/secrets/approov/"
	file := config.Data["gate.yaml"]
	if !strings.Contains(file, mounted) {
		t.Fatalf("gate.yaml names no secret below %s", mounted)
	}
	checkGateFile(t, strings.ReplaceAll(file, mounted, mountSecret(t)+"/"))
}

// mountSecret lays a secret down as the kubelet does: a link to a file in a folder that a second link names, so that all
// of a volume changes at once.
func mountSecret(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "..generation"), 0o755); err != nil {
		t.Fatal(err)
	}
	testSecret(t, filepath.Join(dir, "..generation", "approov.secret"), 0o440)
	for link, target := range map[string]string{"..data": "..generation", "approov.secret": "..data/approov.secret"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
