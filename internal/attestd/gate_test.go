package attestd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sidecar is a process of the gate in front of an API that answers everything.
type sidecar struct {
	address string
	status  string
	clock   string // file that sets its clock forward, such as 6m
	log     *lockedBuffer
}

// startGate starts a gate with a policy, in YAML, and returns when it is ready. It ends with the test.
func startGate(t testing.TB, policy string) *sidecar {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the API") }))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	g := &sidecar{clock: filepath.Join(dir, "clock"), log: &lockedBuffer{}}
	file := filepath.Join(dir, "gate.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nupstream: %s\nstatus: 127.0.0.1:0\npolicy:\n%s", api.URL, policy)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program(t, "approovgate"), "run", "--config", file)
	command.Env = append(os.Environ(), "APPROOVGATE_CLOCK="+g.clock)
	command.Stdout, command.Stderr = g.log, g.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }() // ends with the process
	t.Cleanup(func() { _ = command.Process.Kill(); <-ended })
	eventually(t, "the gate has started", func() string {
		if g.address, g.status = g.started(); g.status == "" {
			return "its log: " + g.log.String()
		}
		return ""
	})
	eventually(t, "the gate is ready", func() string {
		response, err := http.Get("http://" + g.status + "/ready")
		if err != nil {
			return err.Error() + "\n" + g.log.String()
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return response.Status + "\n" + g.log.String()
		}
		return ""
	})
	return g
}

// started are the addresses that the gate serves at, as its first line says; empty: it has not been written yet.
func (g *sidecar) started() (address, status string) {
	var line struct {
		Message string   `json:"msg"`
		Listen  []string `json:"listen"`
		Status  string   `json:"status"`
	}
	lines := bufio.NewScanner(strings.NewReader(g.log.String()))
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "started" && len(line.Listen) == 1 {
			return line.Listen[0], line.Status
		}
	}
	return "", ""
}

// ask sends a request with a token and other headers, given as lines, and returns its status.
func (g *sidecar) ask(t testing.TB, path, token string, headers ...string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+g.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Approov-Token", token)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// reasons are why the gate decided as it did, for each request that did not pass.
func (g *sidecar) reasons() (all []string) {
	lines := bufio.NewScanner(strings.NewReader(g.log.String()))
	for lines.Scan() {
		var line struct{ Reason string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Reason != "" {
			all = append(all, line.Reason)
		}
	}
	return all
}

// reason is the one that comes behind those there were; the log is written a moment later than the answer.
func (g *sidecar) reason(t testing.TB, before []string) (next string) {
	t.Helper()
	eventually(t, "the gate's line", func() string {
		all := g.reasons()
		if len(all) <= len(before) {
			return "there is none"
		}
		next = all[len(before)]
		return ""
	})
	return next
}

// eventually waits until what it looks at says nothing more.
func eventually(t testing.TB, what string, look func() (trouble string)) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		trouble := look()
		if trouble == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v: %s", what, patience, trouble)
		}
	}
}
