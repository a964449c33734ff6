package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

const (
	root   = "../.."
	module = "github.com/approovgate/approovgate"
)

// secret is marked as what it is.
var secret = []byte("TEST KEY, never use: 64 bytes of a secret for Traefik's own tests")

var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// bundle is a folder with plugins-local in it, a clock and a secret.
type bundle struct {
	dir    string
	clock  string // file that holds the time
	secret string // file of the account secret
}

// newBundle writes the bundle as a release has it, but for the clock.
func newBundle(t testing.TB) *bundle {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", root+"/traefikplugin/bundle.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("bundle.sh: %v\n%s", err, out)
	}
	b := &bundle{dir: dir, clock: filepath.Join(dir, "clock"), secret: filepath.Join(dir, "approov.secret")}
	write(t, b.secret, base64.StdEncoding.EncodeToString(secret))
	write(t, filepath.Join(dir, "plugins-local/src", module, "traefikplugin/clock.go"), fmt.Sprintf(clock, b.clock))
	b.set(t, noon)
	return b
}

// clock stands in for clock.go. Of a file that holds no time it makes a fault of the plugin.
const clock = `package traefikplugin

import (
	"os"
	"strings"
	"time"
)

var now = readClock

func readClock() time.Time {
	text, err := os.ReadFile(%q)
	if err != nil {
		return time.Time{} // the test is over, and its folder gone
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		panic(err)
	}
	return at
}

var started = time.Now()

// A minute of the plugin's is three seconds of the test's.
func elapsed() time.Duration { return 20 * time.Since(started) }
`

// set puts the clock to a time.
func (b *bundle) set(t testing.TB, at time.Time) {
	t.Helper()
	write(t, b.clock, at.Format(time.RFC3339Nano))
}

// write replaces a file in one step, so that no reader sees half of it.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := put(path, text); err != nil {
		t.Fatal(err)
	}
}

func put(path, text string) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// token is signed with the account secret under an algorithm.
func token(t testing.TB, alg string, claims map[string]any) string {
	t.Helper()
	text, err := mint.Sign(alg, "", secret, claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func genuine(t testing.TB) string {
	t.Helper()
	return token(t, "HS256", map[string]any{"exp": noon.Unix() + 300, "did": "device"})
}

func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s: got %.2000q, want %q in it", what, text, w)
		}
	}
}

// until polls a condition for at most three minutes: Traefik interprets the plugin anew for each configuration.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	patience, again := time.NewTimer(3*time.Minute), time.NewTicker(10*time.Millisecond)
	defer patience.Stop()
	defer again.Stop()
	for !is() {
		select {
		case <-patience.C:
			t.Fatalf("waited three minutes for %s", what)
		case <-again.C:
		}
	}
}
