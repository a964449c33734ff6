package e2e_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
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

// testSecret is a test key: the account secret of every gate in these tests.
var testSecret = []byte("test key of internal/e2e, never used for anything else..........!")

// settings are a gate file's, or a section's.
type settings map[string]any

// gate is a running sidecar. Every one has the same three ways in, beside those that its file adds.
type gate struct {
	t       *testing.T
	process *os.Process
	dir     string // where its files are
	plain   string // host:port of HTTP/1.1 and h2c
	secure  string // host:port of HTTP/1.1 and HTTP/2 with TLS
	socket  string // path of the unix socket
	status  string // host:port of /live, /ready and /metrics
	log     *logBook
}

// start runs the sidecar with a gate file. What the file does not say is: three listeners with the test certificate,
// a status listener, a policy with the test key whose routes below /open are exempt, and no delay at the end.
func start(t *testing.T, file settings) *gate {
	t.Helper()
	g := &gate{t: t, dir: t.TempDir(), log: newLogBook()}
	g.socket = filepath.Join(g.dir, "gate.sock")
	secret := g.write("approov.secret", []byte(base64.StdEncoding.EncodeToString(testSecret)))
	g.writePair(testAuthority.issue(t, "server"))
	all := settings{
		"listen": []string{"http://127.0.0.1:0", "https://127.0.0.1:0", "unix:" + g.socket},
		"tls":    settings{"cert": filepath.Join(g.dir, "server.pem"), "key": filepath.Join(g.dir, "server.key")},
		"h2c":    true, "status": "127.0.0.1:0", "log": settings{"level": "info", "sample": 10},
		"policy": settings{
			"keys":   []settings{{"name": "account", "alg": "HS256", "secret": "file:" + secret}},
			"routes": []settings{{"name": "open", "paths": []string{"/open/**"}, "check": "none"}},
		},
		"limits": settings{},
	}
	for key, value := range file {
		all[key] = value
	}
	limits := settings{"drain_delay": "0s", "grace": "1s"}
	for key, value := range all["limits"].(settings) {
		limits[key] = value
	}
	all["limits"] = limits
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	g.run(g.write("gate.yaml", text)) // JSON is YAML too
	return g
}

// run starts the process and returns when it serves.
func (g *gate) run(file string) {
	g.t.Helper()
	command := exec.Command(built, "run", "--config", file)
	stderr, err := command.StderrPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.process = command.Process
	ended := make(chan error, 1)
	go func() { // ends with the process
		_, _ = io.Copy(g.log, stderr) // the pipe's end is the process's
		ended <- command.Wait()
	}()
	g.t.Cleanup(func() { g.stop(ended) })
	var started struct {
		Listen []string
		Status string
	}
	if err := json.Unmarshal([]byte(g.log.wait(g.t, `"msg":"started"`)), &started); err != nil {
		g.t.Fatal(err)
	}
	g.status = started.Status
	if len(started.Listen) >= 3 {
		g.plain, g.secure = started.Listen[0], started.Listen[1]
	}
}

// stop asks the process to end, and sees that it does so in order, without ever having panicked.
func (g *gate) stop(ended <-chan error) {
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		g.t.Errorf("ending the gate: %v", err) // it has ended by itself
	}
	select {
	case err := <-ended:
		if err != nil {
			g.t.Errorf("the gate ended with %v, want no error:\n%s", err, g.log.tail())
		}
	case <-time.After(patience):
		_ = g.process.Kill() // it may end just now
		<-ended
		g.t.Errorf("the gate did not end within %v:\n%s", patience, g.log.tail())
	}
	for _, line := range g.log.lines("panic") {
		g.t.Errorf("the gate logged a panic: %s", line)
	}
}

// write puts a file that only its owner may read into the gate's folder, all at once.
func (g *gate) write(name string, text []byte) string {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// reload makes the gate read its files again, and returns the line that tells how that went.
func (g *gate) reload() string {
	g.t.Helper()
	before := len(g.log.lines(`"msg":"reload`))
	if err := g.process.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
	return g.log.waitFor(g.t, `"msg":"reload`, before+1)
}

// token is a fresh token that every gate of these tests accepts.
func token(t *testing.T) string {
	t.Helper()
	return sign(t, testSecret)
}

// forged is a token that another account's key has signed.
func forged(t *testing.T) string {
	t.Helper()
	return sign(t, []byte("another test key, of which no gate in these tests knows anything!!"))
}

func sign(t *testing.T, secret []byte) string {
	t.Helper()
	signed, err := mint.Sign("HS256", "", secret, map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "did": "dGVzdCBkZXZpY2UgaWQhIQ=="})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// serve runs an HTTP server for the API behind the gate, and returns its address.
func serve(t *testing.T, server *http.Server) string {
	t.Helper()
	l := listen(t)
	go func() { _ = server.Serve(l) }() // ended by Close below; the error says so
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// waitContext is for what must happen within patience.
func waitContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// logBook is a log that tests read while it is written.
type logBook struct {
	mu      sync.Mutex
	part    []byte        // guarded by mu: a line that is not whole yet
	all     []string      // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced by every write
}

func newLogBook() *logBook { return &logBook{changed: make(chan struct{})} }

// Write adds what a process has written.
func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.part = append(b.part, p...)
	for {
		advance, line, _ := bufio.ScanLines(b.part, false)
		if advance == 0 {
			break
		}
		b.all = append(b.all, string(line))
		b.part = b.part[advance:]
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return len(p), nil
}

// lines are those that contain text.
func (b *logBook) lines(text string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for _, line := range b.all {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// tail is the end of the log.
func (b *logBook) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.all[max(0, len(b.all)-20):], "\n")
}

// wait returns the first line that contains text.
func (b *logBook) wait(t *testing.T, text string) string {
	t.Helper()
	return b.waitFor(t, text, 1)
}

// waitFor returns the n-th line that contains text.
func (b *logBook) waitFor(t *testing.T, text string, n int) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if found := b.lines(text); len(found) >= n {
			return found[n-1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("log: got %d lines with %q, want %d:\n%s", len(b.lines(text)), text, n, b.tail())
		}
	}
}
