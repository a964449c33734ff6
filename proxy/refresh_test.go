package proxy

import (
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// nextSecret is a test key, the one rotated to.
var nextSecret = []byte("test key of package proxy, the next one, never used elsewhere..!")

const gateFileOfTest = `listen: 127.0.0.1:0
upstream: UPSTREAM
status: 127.0.0.1:0
policy_file: policy.yaml
`

const policyFileOfTest = `keys: [{name: account, alg: HS256, secret: "file:account.secret"}]
`

// runFiles starts a proxy from files in a folder of its own, which it returns.
func runFiles(t *testing.T) (*rig, string) {
	t.Helper()
	r, dir := newFiles(t)
	r.start()
	return r, dir
}

// newFiles makes one that is not started yet.
func newFiles(t *testing.T) (*rig, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "gate.yaml"), strings.Replace(gateFileOfTest, "UPSTREAM", newUpstream(t, nil).URL, 1))
	write(t, filepath.Join(dir, "policy.yaml"), policyFileOfTest)
	write(t, filepath.Join(dir, "account.secret"), base64.StdEncoding.EncodeToString(testSecret))
	r := &rig{t: t, log: newLogBook(), reload: make(chan os.Signal)}
	r.proxy = &Proxy{File: filepath.Join(dir, "gate.yaml"), Reload: r.reload, Log: NewLogger(r.log, Log{Level: slog.LevelDebug}), unwatched: true}
	return r, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// statuses are what the gate answers to a token of the first and of the next secret.
func (r *rig) statuses() [2]int {
	r.t.Helper()
	next, err := mint.Sign("HS256", "", nextSecret, map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		r.t.Fatal(err)
	}
	return [2]int{r.get("/x", "Approov-Token: "+validToken(r.t, nil)).status, r.get("/x", "Approov-Token: "+next).status}
}

func TestReload(t *testing.T) {
	gate, dir := runFiles(t)
	encoded := base64.StdEncoding.EncodeToString(nextSecret)
	for _, row := range []struct {
		name       string
		file, text string
		logged     string // one more line with this text
		want       [2]int
	}{
		{"nothing has changed", "policy.yaml", policyFileOfTest, `"changed":false`, [2]int{200, 401}},
		{"a new secret replaces the old one", "account.secret", encoded, `"changed":true`, [2]int{401, 200}},
		{"a policy that is no YAML leaves the last good one", "policy.yaml", "keys: [", "policy.yaml", [2]int{401, 200}},
		{"an unknown key leaves the last good one", "policy.yaml", policyFileOfTest + "mod: log\n", "policy.yaml: mod", [2]int{401, 200}},
		{"a good policy is taken up", "policy.yaml", policyFileOfTest + "mode: log\n", `"msg":"reloaded"`, [2]int{200, 200}},
		{"a weak secret leaves the last good one", "account.secret", "YWJj", "policy.yaml: keys[0].secret", [2]int{200, 200}},
		{"a broken gate file leaves the last good one", "gate.yaml", "listen: [", "gate.yaml", [2]int{200, 200}},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, filepath.Join(dir, row.file), row.text)
			before := len(gate.log.lines(row.logged))
			gate.reload <- syscall.SIGHUP
			gate.log.wait(t, row.logged, before+1)
			if got := gate.statuses(); got != row.want {
				t.Errorf("old and new secret: got %v, want %v", got, row.want)
			}
		})
	}
	if got := gate.log.lines("restart to apply it"); len(got) > 0 {
		t.Errorf("a file that cannot be read says nothing of its settings: got %q, want no such line", got)
	}
	metrics := gate.probe("GET", "/metrics").body
	for _, want := range []string{`approovgate_config_reloads_total{result="success"} 3`, `approovgate_config_reloads_total{result="failure"} 4`,
		"approovgate_config_failing 1", "approovgate_config_last_success_timestamp_seconds"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics: got none with %q, want it", want)
		}
	}
}

func TestChangedListenNeedsARestart(t *testing.T) {
	gate, dir := runFiles(t)
	write(t, filepath.Join(dir, "gate.yaml"), strings.Replace(gateFileOfTest, "UPSTREAM", "http://127.0.0.1:1", 1))
	gate.reload <- syscall.SIGHUP
	gate.log.wait(t, "restart to apply it", 1)
	if got, want := gate.statuses(), [2]int{200, 401}; got != want {
		t.Errorf("old and new secret: got %v, want %v, still from the first upstream", got, want)
	}
}

func TestPolledFilesAreReportedOnce(t *testing.T) {
	gate, dir := runFiles(t)
	gate.stop() // from here on the test alone looks at the files
	reload := func() { gate.proxy.reload(t.Context(), false) }
	reloaded := func() (good, bad int) {
		return len(gate.log.lines(`"msg":"reloaded"`)), len(gate.log.lines("last good policy and keys stay"))
	}
	for _, row := range []struct {
		name      string
		text      string
		good, bad int
	}{
		{"nothing new is not reported", policyFileOfTest, 0, 0},
		{"a broken file is reported", "keys: [", 0, 1},
		{"a file that stays broken is not reported again", "keys: [", 0, 1},
		{"a file that is broken in another way is reported", "mod: log", 0, 2},
		{"a repaired file is reported", policyFileOfTest, 1, 2},
		{"a changed file is reported", policyFileOfTest + "mode: log\n", 2, 2},
		{"a file that stays is not", policyFileOfTest + "mode: log\n", 2, 2},
	} {
		write(t, filepath.Join(dir, "policy.yaml"), row.text)
		reload()
		if good, bad := reloaded(); good != row.good || bad != row.bad {
			t.Errorf("%s: got %d reloads and %d failures, want %d and %d", row.name, good, bad, row.good, row.bad)
		}
	}
}
