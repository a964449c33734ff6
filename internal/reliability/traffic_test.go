//go:build linux

package reliability

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// errand is a request and the answer it must get.
type errand struct {
	name   string
	method string // default GET
	path   string
	header http.Header
	want   int
}

// fields makes a header of names and values.
func fields(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// ledger is what became of the requests that were due in a phase.
type ledger struct {
	mu            sync.Mutex // guards the fields below
	times         map[string][]time.Duration
	failed, wrong int
	last          string // of those
}

func newLedger() *ledger { return &ledger{times: map[string][]time.Duration{}} }

func (l *ledger) note(lane string, took time.Duration, failure error, wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[lane] = append(l.times[lane], took)
	if failure != nil {
		l.failed++
		l.last = lane + ": " + failure.Error()
	}
	if wrong != "" {
		l.wrong++
		l.last = lane + ": " + wrong
	}
}

// all are the times of all lanes.
func (l *ledger) all() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, times := range l.times {
		all = append(all, times...)
	}
	return all
}

// summary is a line about each lane.
func (l *ledger) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var parts []string
	for lane, times := range l.times {
		parts = append(parts, fmt.Sprintf("%s: %d, half within %v, 99 of 100 within %v, all within %v", lane, len(times),
			percentile(times, 50).Round(10*time.Microsecond), percentile(times, 99).Round(10*time.Microsecond), percentile(times, 100).Round(10*time.Microsecond)))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// traffic sends requests at a fixed rate, whether or not earlier ones have been answered, and judges each answer. A
// time counts from when the request was due: a gate that stalls answers for every request that it keeps waiting.
type traffic struct {
	plain, secure string // addresses of a sidecar
	settings      *tls.Config
	genuine       http.Header // what a WebSocket is asked for with
	forged        http.Header
	errands       []errand

	phase atomic.Pointer[ledger] // what requests that are due now are noted in
	dials atomic.Int64           // connections made for HTTP/2
	stop  chan struct{}
	all   sync.WaitGroup // ended by stop
}

// The rates of each way to ask; together they are what is aimed at.
const (
	http1Rate, http1Workers   = 800, 16
	http2Rate, http2Workers   = 800, 16
	socketRate, socketWorkers = 400, 8
	http2Connections          = 2
)

// begin makes it ready for lanes.
func (f *traffic) begin() {
	f.stop = make(chan struct{})
	f.phase.Store(newLedger())
}

// start begins with all lanes.
func (f *traffic) start(t *testing.T) {
	t.Helper()
	f.begin()
	for i := range http1Workers {
		w := newWire(t, f.plain)
		f.lane("HTTP/1.1", i, http1Workers, http1Rate, f.asking(i, w.run, w.close))
	}
	for i := range http2Connections {
		client, base := f.http2(), "https://"+f.secure
		run := func(e errand) (int, error) { return e.run(client, base) }
		if status, err := run(f.errands[0]); err != nil || status != f.errands[0].want { // several at once would make more connections than they need
			t.Fatalf("%s: got %d, %v; want %d", f.errands[0].name, status, err, f.errands[0].want)
		}
		for j := i; j < http2Workers; j += http2Connections {
			f.lane("HTTP/2", j, http2Workers, http2Rate, f.asking(j, run, client.CloseIdleConnections))
		}
	}
	for i := range socketWorkers {
		lives := 0 // messages of a socket before it is closed; 0: it stays
		if i%2 == 0 {
			lives = 25
		}
		w := &chatter{traffic: f, lives: lives}
		f.lane("WebSocket", i, socketWorkers, socketRate, w.message)
	}
}

// end stops all lanes. It may be called twice.
func (f *traffic) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.all.Wait()
}

// enter begins a phase.
func (f *traffic) enter(l *ledger) { f.phase.Store(l) }

// lane is one worker of several who share a rate.
func (f *traffic) lane(name string, worker, workers, perSecond int, do func(n int) (wrong string, failure error)) {
	period := time.Second * time.Duration(workers) / time.Duration(perSecond)
	f.all.Go(func() {
		due := time.Now().Add(period * time.Duration(worker) / time.Duration(workers))
		timer := time.NewTimer(0)
		defer timer.Stop()
		for n := 0; ; n++ {
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-f.stop:
				_, _ = do(-1) // the last: what it holds is given back
				return
			}
			phase := f.phase.Load()
			wrong, failure := do(n)
			phase.note(name, time.Since(due), failure, wrong)
			due = due.Add(period)
		}
	})
}

// http2 is a client with connections of its own, which are counted: net/http repeats in silence what got lost with one.
func (f *traffic) http2() *http.Client {
	transport := &http.Transport{TLSClientConfig: f.settings.Clone(), DisableCompression: true, ForceAttemptHTTP2: true}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		f.dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return &http.Client{Transport: transport, Timeout: patience}
}

// asking goes through the errands, each worker from another one on. run sends one; end gives back what it holds.
func (f *traffic) asking(worker int, run func(e errand) (status int, err error), end func()) func(n int) (string, error) {
	return func(n int) (string, error) {
		if n < 0 {
			end()
			return "", nil
		}
		e := f.errands[(n+worker)%len(f.errands)]
		status, err := run(e)
		if err == nil && status != e.want {
			return fmt.Sprintf("%s: got %d, want %d", e.name, status, e.want), nil
		}
		return "", err
	}
}

// request is the errand at a server.
func (e errand) request(base string) (*http.Request, error) {
	var content io.Reader
	method := http.MethodGet
	if e.method != "" {
		method, content = e.method, strings.NewReader("some content")
	}
	request, err := http.NewRequest(method, base+e.path, content)
	if err != nil {
		return nil, err
	}
	for name, values := range e.header {
		request.Header[name] = values
	}
	return request, nil
}

// run sends the request with a client.
func (e errand) run(client *http.Client, base string) (status int, err error) {
	request, err := e.request(base)
	if err != nil {
		return 0, err
	}
	a := send(client, request)
	return a.status, a.err
}

// wire is one connection that speaks HTTP/1.1, and is made once: if it is closed, all that should go through it fails.
// http.Transport makes another one when it pleases, and more so on a machine that is busy.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func newWire(t *testing.T, address string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return &wire{conn, bufio.NewReader(conn)}
}

func (w *wire) close() { _ = w.conn.Close() } // what counted has been answered

// run sends the request of an errand and reads the whole answer.
func (w *wire) run(e errand) (status int, err error) {
	request, err := e.request("http://api.test")
	if err == nil {
		err = w.conn.SetDeadline(time.Now().Add(patience))
	}
	if err == nil {
		err = request.Write(w.conn)
	}
	if err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(w.in, request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.Close {
		err = errors.New("the gate says that it closes the connection")
	}
	return response.StatusCode, err
}

// chatter is a worker that has one WebSocket at a time.
type chatter struct {
	*traffic
	lives  int
	socket *socket
}

// message sends one. When there is no socket, a forger asks for one first, who must be refused.
func (c *chatter) message(n int) (wrong string, failure error) {
	if c.socket != nil && (n < 0 || c.lives > 0 && n%c.lives == 0) {
		c.socket.close()
		c.socket = nil
	}
	if n < 0 {
		return "", nil
	}
	if c.socket == nil {
		if wrong, err := c.handshakes(); err != nil || wrong != "" {
			return wrong, err
		}
	}
	err := c.socket.echo(fmt.Sprintf("message %d", n))
	if err != nil {
		c.socket.close()
		c.socket = nil
	}
	return "", err
}

// handshakes asks for a WebSocket, first as a forger and then as a user.
func (c *chatter) handshakes() (wrong string, failure error) {
	_, status, err := openSocket(c.secure, "/socket", c.settings, c.forged)
	switch {
	case err != nil:
		return "", err
	case status != http.StatusUnauthorized:
		return fmt.Sprintf("a forger asks for a WebSocket: got %d, want 401", status), nil
	}
	c.socket, status, err = openSocket(c.secure, "/socket", c.settings, c.genuine)
	switch {
	case err != nil:
		return "", err
	case c.socket == nil:
		return fmt.Sprintf("a user asks for a WebSocket: got %d, want 101", status), nil
	}
	return "", nil
}

// judge demands that no request of a phase failed or got a wrong verdict.
func (l *ledger) judge(t *testing.T, phase string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed+l.wrong > 0 {
		t.Errorf("%s: got %d failed requests and %d wrong verdicts, the last %q; want none", phase, l.failed, l.wrong, l.last)
	}
}
