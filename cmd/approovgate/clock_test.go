package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// buildWithTag builds the program with a tag and returns its path.
func buildWithTag(t *testing.T, tag string) string {
	t.Helper()
	for _, source := range []string{"fixed.go", "settable.go"} { // go test notes what its tests have read
		if _, err := os.ReadFile(filepath.Join("../../internal/testclock", source)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "approovgate")
	command := exec.Command("go", "build", "-tags", tag, "-o", path, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build -tags %q: %v\n%s", tag, err, out)
	}
	return path
}

func TestNoClockOfTestsInTheProgram(t *testing.T) {
	for tag, want := range map[string]bool{"": false, "approovgate_testclock": true} {
		program, err := os.ReadFile(buildWithTag(t, tag))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(program, []byte("APPROOVGATE_CLOCK")); got != want {
			t.Errorf("tag %q: got the variable's name in the program: %v, want %v", tag, got, want)
		}
	}
}

// TestStepsOfTheWallClock sets the clock of a running process forward and back: verdicts follow it, and nothing else
// does.
func TestStepsOfTheWallClock(t *testing.T) {
	program, dir := buildWithTag(t, "approovgate_testclock"), t.TempDir()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer upstream.Close()
	secret := []byte("test key of command approovgate, never used for anything else...!")
	file := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	file("secret", base64.StdEncoding.EncodeToString(secret))
	file("clock", "0s")
	file("gate.yaml", fmt.Sprintf("listen: 127.0.0.1:0\nupstream: %s\nstatus: 127.0.0.1:0\nlimits: {drain_delay: 0s}\npolicy: {keys: [{name: account, alg: HS256, secret: \"file:secret\"}]}\n", upstream.URL))
	gate := exec.Command(program, "run", "--config", filepath.Join(dir, "gate.yaml"))
	gate.Env = append(os.Environ(), "APPROOVGATE_CLOCK="+filepath.Join(dir, "clock"))
	stderr, err := gate.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = gate.Process.Signal(os.Interrupt) // it may have ended already, which Wait tells
		_, _ = io.Copy(io.Discard, stderr)
		if err := gate.Wait(); err != nil {
			t.Errorf("the process: got %v, want exit status 0", err)
		}
	}()
	var started struct{ Listen, Status string }
	lines := bufio.NewScanner(stderr)
	for started.Listen == "" && lines.Scan() {
		var line struct {
			Msg    string
			Listen []string
			Status string
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "started" {
			started.Listen, started.Status = line.Listen[0], line.Status
		}
	}
	token, err := mint.Sign("HS256", "", secret, map[string]any{"exp": time.Now().Add(30 * time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(url, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Approov-Token", token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	steps := []struct {
		offset string
		want   int
	}{{"0s", 200}, {"1h", 401}, {"0s", 200}, {"-1h", 200}, {"8760h", 401}, {"-8760h", 200}, {"0s", 200}}
	for i, step := range steps {
		file("clock", step.offset)
		said := func() string {
			status, _ := ask("http://"+started.Listen+"/x", token)
			return fmt.Sprint(status)
		}
		untilSays(t, "the verdict at "+step.offset, said, fmt.Sprint(step.want))
		counted := func() string {
			_, metrics := ask("http://"+started.Status+"/metrics", "")
			at := slices.IndexFunc(strings.Split(metrics, "\n"), func(line string) bool { return strings.HasPrefix(line, "approovgate_clock_steps_total ") })
			if at < 0 {
				return "none"
			}
			return strings.Fields(strings.Split(metrics, "\n")[at])[1]
		}
		untilSays(t, "steps counted after "+step.offset, counted, fmt.Sprint(i))
	}
}

// untilSays polls: what it waits for happens in another process.
func untilSays(t *testing.T, what string, state func() string, want string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got := state()
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: got %s, want %s", what, got, want)
		}
	}
}
