package attestd_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/internal/attestd"
	"github.com/approovgate/approovgate/internal/pgtest"
)

// patience is how long a test waits for what must happen, on a machine that does other things too.
const patience = 30 * time.Second

// The parts that this test binary plays as a process of its own, by its first argument.
const (
	roleService = "role-service"
	roleApp     = "role-app"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roleService:
			os.Exit(attestd.Run(os.Args[2:], os.Stdout, os.Stderr))
		case roleApp:
			os.Exit(app(os.Args[2:]))
		}
	}
	status := pgtest.Tests{M: m}.Run()
	removeBuilt()
	os.Exit(status)
}

// service is a process of the attestation service.
type service struct {
	address string
	data    string
	ca      string // file of the authority of its certificate; empty: it serves plain HTTP
	client  *http.Client
	process *os.Process
	log     *lockedBuffer
	ended   chan struct{}
}

// startService starts the service with a data folder and more flags, and returns when it serves. It is killed with
// the test.
func startService(t testing.TB, data string, flags ...string) *service {
	t.Helper()
	s, err := launch(t, data, flags...)
	if err != nil {
		t.Fatalf("the service: %v\n%s", err, s.log)
	}
	return s
}

func launch(t testing.TB, data string, flags ...string) (*service, error) {
	t.Helper()
	return launchAs(t, exec.Command(os.Args[0], roleService), data, flags...)
}

// launchAs launches the service as a command with more arguments.
func launchAs(t testing.TB, command *exec.Cmd, data string, flags ...string) (*service, error) {
	t.Helper()
	command.Args = append(command.Args, "run", "--data", data, "--listen", "127.0.0.1:0", "--pin-check", "0") // tests look at nobody's servers
	command.Args = append(command.Args, flags...)
	s := &service{data: data, client: &http.Client{Timeout: patience}, log: &lockedBuffer{}, ended: make(chan struct{})}
	command.Stderr = s.log
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = command.Process
	addresses := make(chan string, 1)
	go func() { // ends with the process
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(s.log, lines.Text())
			if _, address, found := strings.Cut(lines.Text(), " serves on "); found {
				addresses <- address
			}
		}
		_ = command.Wait() // how it ended is told by what the test expects of it
		close(s.ended)
	}()
	t.Cleanup(s.kill)
	select {
	case s.address = <-addresses:
		return s, nil
	case <-s.ended:
		return s, errors.New("it has ended")
	case <-time.After(patience):
		return s, errors.New("it does not serve")
	}
}

// kill ends the process without asking it.
func (s *service) kill() {
	_ = s.process.Kill() // it may have ended
	<-s.ended
}

func (s *service) url() string {
	if s.ca != "" {
		return "https://" + s.address
	}
	return "http://" + s.address
}

// startSecure is startService with TLS under an authority made for the test.
func startSecure(t testing.TB, data string, flags ...string) *service {
	t.Helper()
	dir := t.TempDir()
	ca, cert, key := makeCertificate(t, dir)
	s := startService(t, data, append([]string{"--cert", cert, "--key-file", key}, flags...)...)
	s.trust(t, ca)
	return s
}

// trust has everybody who asks the service accept the authority in a file.
func (s *service) trust(t testing.TB, ca string) {
	t.Helper()
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", ca)
	}
	s.ca = ca
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(s.client.CloseIdleConnections)
}

// admin is the file of the initial admin token.
func (s *service) admin() string { return filepath.Join(s.data, "admin.tok") }

// lockedBuffer collects what several write.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// built are the programs that tests run as people do, compiled once.
var built = struct {
	once sync.Once
	dir  string
	err  error
}{}

func removeBuilt() { _ = os.RemoveAll(built.dir) } // a leftover holds nothing of value

// program is one of the project's commands, compiled.
func program(t testing.TB, name string) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "approovgate-attestd-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-tags", "approovgate_testclock", "-o", built.dir+"/", "../../cmd/approov", "../../cmd/approovgate", "../../cmd/attestserver")
		var out []byte
		if out, built.err = build.CombinedOutput(); built.err != nil {
			built.err = fmt.Errorf("%w: %s", built.err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

// approov runs the management tool and returns what it prints. It answers YES.
func (s *service) approov(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.tryApproov(t, s.admin(), args...)
	if err != nil {
		t.Fatalf("approov %q: %v\n%s", args, err, out)
	}
	return out
}

// tryApproov runs the management tool with a token file.
func (s *service) tryApproov(t testing.TB, token string, args ...string) (string, error) {
	t.Helper()
	line := append([]string{args[0], token}, args[1:]...)
	if s.ca != "" {
		line = append(line, "-ca", s.ca)
	}
	command := exec.Command(program(t, "approov"), line...)
	command.Env = append(os.Environ(), "APPROOV_SERVER="+s.url(), "TZ=UTC")
	command.Stdin = strings.NewReader("YES\n")
	out, err := command.CombinedOutput()
	return string(out), err
}

// manage asks the management API and decodes the answer.
func (s *service) manage(t testing.TB, method, path string, body, into any) {
	t.Helper()
	if status, text := s.tryManage(t, method, path, body, into); status/100 != 2 {
		t.Fatalf("%s %s: got status %d: %s", method, path, status, text)
	}
}

func (s *service) tryManage(t testing.TB, method, path string, body, into any) (status int, text string) {
	t.Helper()
	token, err := os.ReadFile(s.admin())
	if err != nil {
		t.Fatal(err)
	}
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url()+path, content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, attestapi.MaxResponse))
	if err != nil {
		return 0, err.Error()
	}
	if into != nil && response.StatusCode/100 == 2 {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return response.StatusCode, string(raw)
}

// makeApp writes an app: this program with the account's SDK library behind it, and more bytes behind that.
func (s *service) makeApp(t testing.TB, path, more string) {
	t.Helper()
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(t.TempDir(), "sdk.library")
	s.approov(t, "sdk", "-getLibrary", library)
	text, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, slices.Concat(self, text, []byte(more)), 0o700); err != nil {
		t.Fatal(err)
	}
}
