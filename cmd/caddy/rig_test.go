package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// folder holds what is built.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "approovgate-caddy") })

// program is the command, with a clock that tests can set, built once. What it is built from is imported by main.go, so
// go test notices when that changes.
var program = sync.OnceValues(func() (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	if _, err := os.ReadFile("../../internal/testclock/settable.go"); err != nil { // go test notes what its tests have read
		return "", err
	}
	path := filepath.Join(dir, "caddy")
	command := exec.Command("go", "build", "-tags", "approovgate_testclock", "-o", path, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir) // in the system's folder for such things
	}
	os.Exit(code)
}

// accountKey is the account's secret in these tests.
var accountKey = []byte("TEST KEY, never use: the account of command caddy's tests........")

var accountSecret = base64.StdEncoding.EncodeToString(accountKey)

// token is what a genuine app sends.
func token(t *testing.T) string {
	t.Helper()
	signed, err := mint.Sign("HS256", "", accountKey, map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "did": "TEST-device"})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// home is a folder of one Caddy, where all its files are.
type home struct{ dir string }

func newHome(t *testing.T) home {
	t.Helper()
	h := home{t.TempDir()}
	h.write(t, "approov", accountSecret)
	return h
}

func (h home) path(name string) string { return filepath.Join(h.dir, name) }

func (h home) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h home) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(h.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// command is the program with arguments, in the folder and without the user's own settings.
func (h home) command(args ...string) (*exec.Cmd, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	command := exec.Command(path, args...)
	command.Dir = h.dir
	command.Env = []string{"HOME=" + h.dir, "XDG_CONFIG_HOME=" + h.dir, "XDG_DATA_HOME=" + h.dir, "PATH=" + os.Getenv("PATH"),
		"APPROOVGATE_CLOCK=" + h.path("clock"), "APPROOV_SECRET=" + accountSecret}
	return command, nil
}

// run runs a command that ends by itself, and returns all it has said.
func (h home) run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	command, err := h.command(args...)
	if err != nil {
		t.Fatal(err)
	}
	said, err := command.CombinedOutput()
	return string(said), err
}

// process is a Caddy that runs.
type process struct {
	command *exec.Cmd
	said    bytes.Buffer
	ended   chan struct{}
	err     error // with which it ended
}

// start runs Caddy until it listens at every one of the addresses; its servers start one by one, in any order. An error
// holds what it has said.
func (h home) start(stdin string, addresses []string, args ...string) (*process, error) {
	command, err := h.command(append([]string{"run"}, args...)...)
	if err != nil {
		return nil, err
	}
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &p.said, &p.said
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process
		p.err = command.Wait()
		close(p.ended)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for len(addresses) > 0 {
		if conn, err := net.Dial("tcp", addresses[0]); err == nil {
			_ = conn.Close() // it said nothing
			addresses = addresses[1:]
			continue
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return nil, fmt.Errorf("caddy run: %w\n%s", p.err, p.said.String())
		case <-late:
			return nil, errors.Join(fmt.Errorf("%s: nobody listens there after %v", addresses[0], patience), p.stop())
		}
	}
	return p, nil
}

// stop ends it and waits.
func (p *process) stop() error {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended already
	<-p.ended
	return p.err
}

// endedBy reports whether a signal that it did not catch has ended it. It must have ended.
func (p *process) endedBy(signal syscall.Signal) bool {
	status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

// mustStart is start, of a process that lasts as long as the test.
func (h home) mustStart(t *testing.T, address string, args ...string) *process {
	t.Helper()
	p, err := h.start("", []string{address}, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("caddy run: got %v, want exit status 0\n%s", err, p.said.String())
		}
	})
	return p
}

// ask sends a request, with a token unless that is empty, and reads the answer.
func ask(t *testing.T, method, url, token, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Approov-Token", token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(all)
}
