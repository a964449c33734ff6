package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/mint"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// testSecret is a test key: the account secret of every gate in this package's tests.
var testSecret = []byte("test key of package proxy, never used for anything else........!")

// keysOfTest is the keys section with testSecret.
func keysOfTest() []any {
	return []any{map[string]any{"name": "account", "alg": "HS256", "jwe": true,
		"secret": "inline:" + base64.StdEncoding.EncodeToString(testSecret)}}
}

// validToken is a token that every gate in these tests accepts; bind other than "" becomes its pay.
func validToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "did": "dGVzdCBkZXZpY2UgaWQhIQ=="}
	for name, value := range claims {
		all[name] = value
	}
	minted, err := mint.Sign("HS256", "", testSecret, all)
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

// rig is a running proxy in front of a test server.
type rig struct {
	t       *testing.T
	proxy   *Proxy
	address string // of the gate
	status  string // of the status listener
	admin   string // of the admin listener; empty: none
	log     *logBook
	reload  chan os.Signal
	onReady func()       // called when the proxy is ready; nil: nothing is
	stop    func() error // ends the proxy and returns what Run returned; may be called again
}

// run starts a proxy for upstream with a policy (keys are added where there are none) and changes to
// the proxy made by with.
func run(t *testing.T, upstream string, policy map[string]any, with ...func(*Proxy)) *rig {
	t.Helper()
	r := newRig(t, upstream, policy, with...)
	r.start()
	return r
}

// newRig makes one that is not started yet.
func newRig(t *testing.T, upstream string, policy map[string]any, with ...func(*Proxy)) *rig {
	t.Helper()
	tree := map[string]any{"listen": "127.0.0.1:0", "upstream": upstream, "status": "127.0.0.1:0", "log": map[string]any{"level": "debug", "sample": "0"},
		"limits": map[string]any{"drain_delay": "0s"}, "policy": policy}
	if policy["keys"] == nil {
		policy["keys"] = keysOfTest()
	}
	r := &rig{t: t, log: newLogBook(), reload: make(chan os.Signal)}
	r.proxy = &Proxy{Tree: tree, Reload: r.reload, Log: NewLogger(r.log, Log{Level: slog.LevelDebug}), unwatched: true}
	for _, change := range with {
		change(r.proxy)
	}
	return r
}

// start loads and runs the proxy until the test ends.
func (r *rig) start() {
	r.t.Helper()
	if problems := r.proxy.Load(); config.Failed(problems) {
		r.t.Fatalf("Load: got %v, want no error", problems)
	}
	ready := make(chan Addresses, 1)
	r.proxy.Ready = func(a Addresses) {
		if r.onReady != nil {
			r.onReady()
		}
		ready <- a
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.proxy.Run(ctx) }() // ended by stop
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	r.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			r.t.Errorf("Run: got %v, want nil", err)
		}
	})
	select {
	case a := <-ready:
		r.address, r.status = a.Listen[0].String(), a.Status.String()
		if a.Admin != nil {
			r.admin = a.Admin.String()
		}
	case err := <-ended:
		r.t.Fatalf("Run: got %v, want it to serve", err)
	}
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// send writes a request as it stands, line ends included, and reads the answer.
func (r *rig) send(request string) answer {
	r.t.Helper()
	conn := r.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("answer to %.60q: %v", request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatalf("body of the answer to %.60q: %v", request, err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	conn, err := net.DialTimeout("tcp", r.address, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// get sends a plain request with some header lines.
func (r *rig) get(target string, lines ...string) answer {
	r.t.Helper()
	return r.send(request("GET", target, lines...))
}

// probe asks the status listener.
func (r *rig) probe(method, path string) answer {
	r.t.Helper()
	q, err := http.NewRequest(method, "http://"+r.status+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// request is a request without content as text.
func request(method, target string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\n" + strings.Join(append([]string{"Host: api.example.com"}, lines...), "\r\n") + "\r\n\r\n"
}

// upstreamLog is a backend that notes what it gets.
type upstreamLog struct {
	*httptest.Server
	mu  sync.Mutex
	got []*http.Request // guarded by mu
}

// newUpstream starts a backend; serve may be nil, which answers 200 "hello".
func newUpstream(t *testing.T, serve http.HandlerFunc) *upstreamLog {
	t.Helper()
	u := &upstreamLog{}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.got = append(u.got, r)
		u.mu.Unlock()
		if serve != nil {
			serve(w, r)
			return
		}
		_, _ = io.WriteString(w, "hello") // a client that is gone needs none
	}))
	u.Config.DisableGeneralOptionsHandler = true
	u.Start()
	t.Cleanup(u.Close)
	return u
}

// last is the latest request; the test fails when there is none.
func (u *upstreamLog) last(t *testing.T) *http.Request {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.got) == 0 {
		t.Fatal("upstream: got no request, want one")
	}
	return u.got[len(u.got)-1]
}

func (u *upstreamLog) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.got)
}

// logBook is a log that tests read while it is written.
type logBook struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced by every write
}

func newLogBook() *logBook { return &logBook{changed: make(chan struct{})} }

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// lines are the log's lines that contain text.
func (b *logBook) lines(text string) []string {
	var found []string
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// wait returns when n lines contain text.
func (b *logBook) wait(t *testing.T, text string, n int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if len(b.lines(text)) >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("log: got %d lines with %q, want %d:\n%s", len(b.lines(text)), text, n, b)
		}
	}
}

// newTLSUpstream is a backend behind TLS with HTTP/2, which answers what it got.
func newTLSUpstream(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join([]string{r.Proto, r.Host, r.RequestURI, r.Header.Get("X-Approov-Verdict")}, " "))
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // refused handshakes are the point
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}
