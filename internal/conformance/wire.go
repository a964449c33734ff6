package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// answerTime is how long a host may take to answer one request of the corpus.
const answerTime = 10 * time.Second

// maxAnswer bounds what is read of a response's body, in bytes.
const maxAnswer = 1 << 16

// Host is what a Wire run wants of the host under test: a listener in front of Upstream that enforces Policy.
type Host struct {
	Policy   string           // JSON
	Now      func() time.Time // the clock to judge by
	Upstream string           // URL of the backend
}

// Start starts a host and returns its TCP address. An error means that the host refuses the policy. stop is
// called once, after the last request.
type Start func(h Host) (address string, stop func(), err error)

// Wire sends the cases' bytes over real sockets to hosts that Start makes, one for each policy and time, and
// compares the status, whether the backend was reached, and what it received. What only the gate knows (verdict,
// reason, mode, route, key) is not compared.
type Wire struct {
	Start Start
}

// Result is one case run by a Wire.
type Result struct {
	Case        Case
	Skipped     string   // why this case cannot be run over a plain socket; empty: it ran
	Differences []string // none: all as wanted
}

// Run runs the cases in their order, grouped by host, and reports each of them once.
func (w Wire) Run(cases []Case, report func(r Result)) {
	groups := map[string][]Case{}
	var order []string
	for _, c := range cases {
		policy, err := c.PaddedPolicy()
		if err != nil {
			report(Result{Case: c, Differences: []string{err.Error()}})
			continue
		}
		id := c.Now.Format(time.RFC3339Nano) + policy
		if _, ok := groups[id]; !ok {
			order = append(order, id)
		}
		groups[id] = append(groups[id], c)
	}
	for _, id := range order {
		w.runGroup(groups[id], report)
	}
}

// runGroup runs cases that share a policy and a time.
func (w Wire) runGroup(cases []Case, report func(r Result)) {
	backend := &recorder{}
	upstream := httptest.NewServer(backend)
	defer upstream.Close()
	policy, err := cases[0].PaddedPolicy()
	var address string
	if err == nil {
		now := cases[0].Now
		var stop func()
		address, stop, err = w.Start(Host{Policy: policy, Now: func() time.Time { return now }, Upstream: upstream.URL})
		if err == nil {
			defer stop()
		}
	}
	for _, c := range cases {
		switch {
		case err != nil:
			refused := Outcome{RefusedBy: RefusedByPolicy, Problems: []string{err.Error()}}
			report(Result{Case: c, Differences: c.differences(refused, sees{})})
		case c.Scheme != "" || c.Peer != "":
			report(Result{Case: c, Skipped: "the case sets scheme or peer, which a plain socket cannot"})
		default:
			report(w.runCase(c, address, backend))
		}
	}
}

func (w Wire) runCase(c Case, address string, backend *recorder) Result {
	backend.take()
	got, err := exchange(address, c.Request)
	if err != nil {
		return Result{Case: c, Differences: []string{err.Error()}}
	}
	seen := backend.take()
	if len(seen) > 1 {
		return Result{Case: c, Differences: []string{fmt.Sprintf("backend: got %d requests, want at most 1", len(seen))}}
	}
	got.Action = "reject"
	if len(seen) == 1 {
		got.Action = "forward"
		got.Target, got.Host, got.Header = seen[0].target, seen[0].host, seen[0].header
	} else if c.Want.RefusedBy == RefusedByHost && got.Status == http.StatusBadRequest {
		got.RefusedBy = RefusedByHost
	}
	return Result{Case: c, Differences: c.differences(got, sees{hop: true})}
}

// exchange sends request over one connection and reads the final response to it.
func exchange(address, request string) (Outcome, error) {
	conn, err := net.DialTimeout("tcp", address, answerTime)
	if err != nil {
		return Outcome{}, fmt.Errorf("connect to the host: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return Outcome{}, err
	}
	// A host may answer and close before it has read everything: what counts is the answer.
	_, sendErr := io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return Outcome{}, fmt.Errorf("no answer: %w", errors.Join(err, sendErr))
		}
		if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return Outcome{}, fmt.Errorf("read the answer's body: %w", err)
		}
		return Outcome{Status: response.StatusCode, Body: string(body), CacheControl: response.Header.Get("Cache-Control")}, nil
	}
}

// overWire sends request to a net/http server with the given handler.
func overWire(request string, handler http.Handler) (Outcome, error) {
	server := httptest.NewServer(handler)
	defer server.Close()
	got, err := exchange(server.Listener.Addr().String(), request)
	got.Action = "reject"
	return got, err
}

// recorder is the backend: it notes what it receives and answers 200.
type recorder struct {
	mu       sync.Mutex
	received []received // guarded by mu
}

type received struct {
	target, host string
	header       http.Header
}

func (b *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.received = append(b.received, received{target: r.RequestURI, host: r.Host, header: r.Header.Clone()})
	w.WriteHeader(http.StatusOK)
}

// take returns what was received since the last call.
func (b *recorder) take() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.received
	b.received = nil
	return seen
}
