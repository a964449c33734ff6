//go:build linux

package reliability

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/approovgate/approovgate/mint"
)

// patience is how long a test waits for what must happen, on a machine that does other things too.
const patience = 20 * time.Second

// long reports whether the figures to publish are wanted.
func long() bool { return os.Getenv("APPROOVGATE_RELIABILITY") == "long" }

// atMost is the longest that something may take. The figures to publish are demanded where they are taken, in the long
// form, which has the machine to itself; else a machine that does other things too must not fail a test.
func atMost(published time.Duration) time.Duration {
	if long() {
		return published
	}
	return patience
}

// rounds is how often a test repeats what it does.
func rounds(short, extended int) int {
	if long() {
		return extended
	}
	return short
}

// The accounts' secrets: test keys, of no account.
var (
	keyA = bytes.Repeat([]byte("approovgate test key A, 32 bytes"), 2)
	keyB = bytes.Repeat([]byte("approovgate test key B, 32 bytes"), 2)
)

// token is one that a key's account would issue now.
func token(t *testing.T, key []byte) string {
	t.Helper()
	minted, err := mint.Sign("HS256", "", key, map[string]any{"exp": time.Now().Unix() + 3600})
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

// secret writes an account's secret, in base64, as an operator would.
func secret(t *testing.T, path string, key []byte) {
	t.Helper()
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// gateFile is what a gate.yaml says. The zero value listens where the system chooses and has one key, keyA.
type gateFile struct {
	listen   string // default 127.0.0.1:0
	status   string // default 127.0.0.1:0
	upstream string
	more     []string // further lines
	policy   string   // default: a key named account from account.secret beside the file
}

const onePolicy = "{keys: [{name: account, alg: HS256, secret: file:account.secret}]}"

func (g gateFile) text() string {
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	return strings.Join(append([]string{
		"listen: " + or(g.listen, "127.0.0.1:0"), "status: " + or(g.status, "127.0.0.1:0"), "upstream: " + g.upstream,
		"policy: " + or(g.policy, onePolicy),
	}, g.more...), "\n") + "\n"
}

// write puts the file, and the secret of keyA, into a folder.
func (g gateFile) write(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "gate.yaml")
	if err := os.WriteFile(path, []byte(g.text()), 0o600); err != nil {
		t.Fatal(err)
	}
	secret(t, filepath.Join(dir, "account.secret"), keyA)
	return path
}

// sidecar is a process of the program.
type sidecar struct {
	listen, status string // where it serves; listen is the first of addresses
	addresses      []string
	process        *os.Process
	log            *journal
	ended          chan struct{} // closed when the process has
	exit           error         // how it ended; read after ended
}

// start runs the sidecar with a gate file and returns when it serves. It is killed with the test.
func start(t *testing.T, file string) *sidecar {
	t.Helper()
	s := launch(t, command(t, file))
	s.serving(t)
	return s
}

// command is the sidecar's command line, which a test may change before it launches it.
func command(t *testing.T, file string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, "run", "--config", file)
}

// launch starts a command. Unless the command's standard error leads elsewhere it is kept in the journal.
func launch(t *testing.T, c *exec.Cmd) *sidecar {
	t.Helper()
	s := &sidecar{log: &journal{}, ended: make(chan struct{})}
	if c.Stderr == nil {
		out, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		go s.log.keep(out) // ended by the process's end
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = c.Process
	go func() { // ended by the process's end
		state, err := c.Process.Wait()
		if err == nil && !state.Success() {
			err = &exec.ExitError{ProcessState: state}
		}
		s.exit = err
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.process.Kill() // it may have ended, which is as well
		<-s.ended
		for _, crash := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} { // GOFLAGS=-race builds the sidecar so, too
			if line := s.log.find(crash); line != "" {
				t.Errorf("the sidecar writes %q", line)
			}
		}
		if t.Failed() {
			t.Logf("the sidecar's last lines:\n%s", s.log.tail(5))
		}
	})
	return s
}

// serving waits until the process serves and learns where from its first line.
func (s *sidecar) serving(t *testing.T) {
	t.Helper()
	var started struct {
		Listen []string `json:"listen"`
		Status string   `json:"status"`
	}
	until(t, "the sidecar logs that it has started", func() bool {
		line := s.log.find(`"msg":"started"`)
		s.alive(t)
		return line != "" && json.Unmarshal([]byte(line), &started) == nil
	})
	s.listen, s.addresses, s.status = started.Listen[0], started.Listen, started.Status
}

// alive ends the test if the process has ended by itself.
func (s *sidecar) alive(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		t.Fatalf("the sidecar has ended: %v\n%s", s.exit, s.log.tail(5))
	default:
	}
}

// signal sends one, to a process that may have ended.
func (s *sidecar) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// exitCode waits for the process's end: its status, or -1 when a signal ended it.
func (s *sidecar) exitCode(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(within):
		t.Fatalf("the sidecar still runs after %v", within)
	}
	var failed *exec.ExitError
	if errors.As(s.exit, &failed) {
		return failed.ExitCode()
	}
	if s.exit != nil {
		t.Fatal(s.exit)
	}
	return 0
}

// ready is what /ready and /live answer, as "status body" without the line's end; "" when nothing does.
func (s *sidecar) probe(path string) string {
	answer := get(http.DefaultClient, "http://"+s.status+path, "")
	if answer.err != nil {
		return ""
	}
	return strconv.Itoa(answer.status) + " " + strings.TrimSpace(answer.body)
}

// metric is the value of a sample, given by its name with all labels as /metrics writes them; 0 when it is not there.
func (s *sidecar) metric(t *testing.T, sample string) float64 {
	t.Helper()
	answer := get(http.DefaultClient, "http://"+s.status+"/metrics", "")
	if answer.err != nil || answer.status != http.StatusOK {
		t.Fatalf("/metrics: %d, %v", answer.status, answer.err)
	}
	for line := range strings.Lines(answer.body) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// answer is what became of a request.
type answer struct {
	status int
	header http.Header
	body   string
	last   bool // of its connection: the sidecar says that it closes
	err    error
	took   time.Duration
}

// get sends a GET with a token, if it is not empty.
func get(client *http.Client, url, token string) answer {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		request.Header.Set("Approov-Token", token)
	}
	return send(client, request)
}

// refused sends a GET that must not reach the API, which tells if it does.
func refused(client *http.Client, url, token string) answer {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Approov-Token", token)
	request.Header.Set(forgedHeader, "1")
	return send(client, request)
}

func send(client *http.Client, request *http.Request) (a answer) {
	begin := time.Now()
	defer func() { a.took = time.Since(begin) }()
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or err says why not
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(body), last: response.Close, err: err}
}

// newClient keeps up to so many connections open. It ends with the test.
func newClient(t *testing.T, connections int, h2c bool) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	if h2c {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// until waits for what happens in another process, which tells nobody.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got no change in %v, want: %s", patience, what)
		}
	}
}

// percentile of durations, which it sorts.
func percentile(d []time.Duration, percent int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*percent/100)]
}

// milliseconds rounds for a report.
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + " ms" }

// resident is the memory of a process, in bytes, as the kernel counts it.
func (s *sidecar) resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// descriptors is how many a process has open.
func (s *sidecar) descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// The signals that a supervisor sends.
const (
	terminated = syscall.SIGTERM
	killed     = syscall.SIGKILL
	reload     = syscall.SIGHUP
)
