//go:build linux

package reliability

import (
	"context"
	"crypto/tls"
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
	dials atomic.Int64           // connections made for HTTP
	stop  chan struct{}
	all   sync.WaitGroup // ended by stop
}

// The rates of each way to ask; together they are what the issue asks for.
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
func (f *traffic) start() {
	f.begin()
	for i := range http1Workers {
		client := f.client(false)
		f.lane("HTTP/1.1", i, http1Workers, http1Rate, f.asking(client, "http://"+f.plain, i))
	}
	for i := range http2Connections {
		client := f.client(true)
		for j := i; j < http2Workers; j += http2Connections {
			f.lane("HTTP/2", j, http2Workers, http2Rate, f.asking(client, "https://"+f.secure, j))
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

// client is one with connections of its own, which are counted.
func (f *traffic) client(http2 bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: f.settings.Clone(), DisableCompression: true, MaxIdleConnsPerHost: 1, ForceAttemptHTTP2: http2}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		f.dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return &http.Client{Transport: transport, Timeout: patience}
}

// asking goes through the errands, each worker from another one on.
func (f *traffic) asking(client *http.Client, base string, worker int) func(n int) (string, error) {
	return func(n int) (string, error) {
		if n < 0 {
			client.CloseIdleConnections()
			return "", nil
		}
		e := f.errands[(n+worker)%len(f.errands)]
		status, err := e.run(client, base)
		if err == nil && status != e.want {
			return fmt.Sprintf("%s: got %d, want %d", e.name, status, e.want), nil
		}
		return "", err
	}
}

// run sends the request.
func (e errand) run(client *http.Client, base string) (status int, err error) {
	var content io.Reader
	method := http.MethodGet
	if e.method != "" {
		method, content = e.method, strings.NewReader("some content")
	}
	request, err := http.NewRequest(method, base+e.path, content)
	if err != nil {
		return 0, err
	}
	for name, values := range e.header {
		request.Header[name] = values
	}
	a := send(client, request)
	return a.status, a.err
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
