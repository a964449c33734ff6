package h1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// peer is the upstream's end of one connection.
type peer struct {
	net.Conn
	number int // of the connection, from 1
	in     *bufio.Reader
}

// request reads a request's header and returns it, "" at the end of the connection.
func (p *peer) request() string {
	var head strings.Builder
	for {
		line, err := p.in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return ""
		}
		if line == "\r\n" {
			return head.String()
		}
	}
}

// write sends text; an error shows in what the other side gets.
func (p *peer) write(text string) { _, _ = io.WriteString(p.Conn, text) }

// hold waits until the other side closes.
func (p *peer) hold() { _, _ = io.Copy(io.Discard, p.in) }

// upstream is a listener whose connections run through a function, below HTTP.
type upstream struct {
	listener net.Listener
	accepted atomic.Int32
	wait     sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool // guarded by mu; nil: closed
}

// newUpstream serves until the test ends; network is tcp or unix.
func newUpstream(t testing.TB, network string, serve func(*peer)) *upstream {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/socket"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{listener: l, open: map[net.Conn]bool{}}
	u.wait.Go(func() { // ended by close
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !u.track(conn) {
				conn.Close()
				return
			}
			number := int(u.accepted.Add(1))
			u.wait.Go(func() { // ended by close at the latest
				serve(&peer{conn, number, bufio.NewReader(conn)})
				conn.Close()
				u.mu.Lock()
				delete(u.open, conn)
				u.mu.Unlock()
			})
		}
	})
	t.Cleanup(u.close)
	return u
}

func (u *upstream) track(conn net.Conn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open == nil {
		return false
	}
	u.open[conn] = true
	return true
}

// openCount is how many connections are served.
func (u *upstream) openCount() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.open)
}

// close ends everything and returns when it has ended; it may be called again.
func (u *upstream) close() {
	u.listener.Close()
	u.mu.Lock()
	for conn := range u.open {
		conn.Close()
	}
	u.open = nil
	u.mu.Unlock()
	u.wait.Wait()
}

func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	a := u.listener.Addr()
	return new(net.Dialer).DialContext(ctx, a.Network(), a.String())
}

// answering is an upstream that answers each request with one of answers, in turn on each connection, and
// closes the connection after the last.
func answering(t testing.TB, answers ...string) *upstream {
	t.Helper()
	return newUpstream(t, "tcp", func(p *peer) {
		for _, answer := range answers {
			if p.request() == "" {
				return
			}
			p.write(answer)
		}
	})
}

// transport is one for u that keeps connections and falls back on nothing.
func transport(t testing.TB, u *upstream) *Transport {
	t.Helper()
	tr := &Transport{Dial: u.dial, MaxIdle: 8, ResponseHeaderTimeout: patience}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// idleCount is how many connections are idle.
func (t *Transport) idleCount() int {
	t.idle.mu.Lock()
	defer t.idle.mu.Unlock()
	return len(t.idle.idle)
}

func newRequest(t testing.TB, method string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "http://upstream.test/x", body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get sends a GET and reads the whole answer.
func get(t testing.TB, rt http.RoundTripper) (*http.Response, string, error) {
	t.Helper()
	return fetch(rt, newRequest(t, "GET", nil))
}

// fetch sends a request and reads the whole answer.
func fetch(rt http.RoundTripper, req *http.Request) (*http.Response, string, error) {
	response, err := rt.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	return response, string(body), err
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// mustGet expects hello.
func mustGet(t testing.TB, rt http.RoundTripper) {
	t.Helper()
	response, body, err := get(t, rt)
	if err != nil || response.StatusCode != 200 || body != "hello" {
		t.Fatalf("got %v, %q, %v, want 200 hello", response, body, err)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: got none of it for %v, want it", what, patience)
		}
	}
}

// watchLeaks fails the test when it leaves more goroutines or descriptors than it found. It is to be called
// first, so that it looks last.
func watchLeaks(t *testing.T) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	t.Cleanup(func() {
		eventually(t, "an end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, "an end of all descriptors", func() bool { return openFiles() <= files })
	})
}

// openFiles counts the process's descriptors where the system tells; 0 elsewhere.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
