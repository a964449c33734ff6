package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// This binary plays the demo's parts, too.
func TestMain(m *testing.M) {
	if status, played := play(os.Args); played {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

const patience = time.Minute

// anywhere has the demo listen where the system chooses: its own ports may be another's at any moment.
func anywhere(more ...string) []string {
	return append(more, "-gate", "127.0.0.1:0", "-api", "127.0.0.1:0", "-minter", "127.0.0.1:0", "-status", "127.0.0.1:0")
}

func TestTourComesOutAsAnnounced(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), anywhere("-once"), &stdout, &stderr, painter{plain: true}); got != 0 {
		t.Fatalf("exit status: got %d, want 0\n%s%s", got, &stdout, &stderr)
	}
	text := stdout.String()
	if !strings.Contains(text, "requests came out as announced.") || strings.Contains(text, "✗") {
		t.Errorf("got %s, want every row marked as announced", text)
	}
	if strings.ContainsRune(text, '\x1b') {
		t.Errorf("got %q, want no colours when plain", text)
	}
	for _, want := range []string{"token_missing", "token_expired", "signature_invalid", "algorithm_refused", "token_repeated", "token_status",
		"token_malformed", "binding_mismatch", "binding_missing", "pay_missing", "exempt", "preflight", "target_refused", "405"} {
		if !strings.Contains(text, want) {
			t.Errorf("table: got no row with %s, want one", want)
		}
	}
	for _, row := range []struct{ below, want string }{
		{"a patched copy of it", "approov explain: the account's policy, default,default,default, rejected app-not-registered"},
		{"the registered app on a blacklisted device", "approov explain: the device's own policy"},
	} {
		_, after, _ := strings.Cut(text, row.below)
		_, after, _ = strings.Cut(after, "\n")
		if got, _, _ := strings.Cut(after, "\n"); !strings.HasPrefix(strings.TrimSpace(got), row.want) {
			t.Errorf("below %q: got %q, want %q", row.below, got, row.want)
		}
	}
}

func TestTableIsAligned(t *testing.T) {
	all, err := sections(newAccount(), tokens{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p, c := painter{plain: true}, widths(all)
	p.header(&out, c)
	for _, section := range all {
		for _, s := range section.steps {
			p.line(&out, c, row{step: s, got: outcome{s.verdict, s.reason, s.status, s.reaches, s.tells}})
		}
	}
	lines := strings.Split(strings.Trim(out.String(), "\n"), "\n")
	at := strings.Index(lines[0], "status")
	for _, line := range lines[1:] {
		if got := string([]rune(line)[at : at+3]); !regexp.MustCompile(`^\d{3}$`).MatchString(got) {
			t.Errorf("line %q: got %q in the status column, want a status", line, got)
		}
	}
}

func TestDifferencesAreFound(t *testing.T) {
	s := ask("no token", "GET /").denied("token_missing", 401)
	for _, row := range []struct {
		name string
		got  outcome
		want int
	}{
		{"as announced", outcome{"fail", "token_missing", 401, false, ""}, 0},
		{"another reason", outcome{"fail", "token_empty", 401, false, ""}, 1},
		{"let through", outcome{"pass", "ok", 200, true, "pass"}, 5},
	} {
		if got := s.differences(row.got); len(got) != row.want {
			t.Errorf("%s: got %q, want %d differences", row.name, got, row.want)
		}
	}
}

// TestCommandsThatAreShownWork runs the curl commands of the invitation.
func TestCommandsThatAreShownWork(t *testing.T) {
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	out := &screen{}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, anywhere(), out, t.Output(), painter{plain: true}) }() // ended by stop
	defer func() { stop(); <-ended }()
	out.wait(t, "Ctrl-C ends the demo")
	found := regexp.MustCompile(`(?m)^    # (.*)\n    (curl .*)$`).FindAllStringSubmatch(out.String(), -1)
	if len(found) != 8 {
		t.Fatalf("commands: got %d, want 8", len(found))
	}
	for _, command := range found {
		got, err := exec.CommandContext(ctx, "sh", "-c", command[2]).Output()
		want := "approovgate_decisions_total"
		if _, status, ok := strings.Cut(command[1], ": "); ok {
			want = "HTTP/1.1 " + status
		}
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %.80q, %v, want %s", command[1], got, err, want)
		}
	}
	out.wait(t, "reason=binding_mismatch action=reject") // the log follows
}

// screen is a terminal that the test reads while it is written.
type screen struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) wait(t *testing.T, text string) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.String(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got %s, want %q in it", s, text)
		}
	}
}

func TestPortThatIsTakenGivesWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := free("", l.Addr().String()); got != "127.0.0.1:0" {
		t.Errorf("default taken: got %s, want any free port", got)
	}
	var stderr bytes.Buffer
	if got := run(t.Context(), []string{"-once", "-gate", l.Addr().String()}, io.Discard, &stderr, painter{}); got != 1 {
		t.Errorf("asked-for port taken: got status %d, want 1", got)
	}
	if !strings.Contains(stderr.String(), l.Addr().String()) {
		t.Errorf("message: got %q, want it to name the address", &stderr)
	}
}

func TestMinter(t *testing.T) {
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	address, err := serve(ctx, "127.0.0.1:0", "", newAccount(), ended)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); <-ended }()
	for _, row := range []struct {
		name, path string
		status     int
		want       string
	}{
		{"a signed token", "/token", 200, `^[\w-]+\.[\w-]+\.[\w-]+\n$`},
		{"an encrypted token", "/token?type=jwe", 200, `^([\w-]+\.){4}[\w-]+\n$`},
		{"an unknown type", "/token?type=gold", 400, `unknown type "gold"`},
		{"another path", "/", 404, `GET /token`},
	} {
		response, err := http.Get("http://" + address + row.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != row.status || !regexp.MustCompile(row.want).Match(body) {
			t.Errorf("%s: got %d %q, %v, want %d %s", row.name, response.StatusCode, body, err, row.status, row.want)
		}
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !paintFor(f).plain {
		t.Error("a file: got colours, want none")
	}
	if got := (painter{}).red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red: got %q, want it coloured", got)
	}
}
