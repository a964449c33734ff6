package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// slowUpstream is a backend that answers when it is told to.
type slowUpstream struct {
	*upstreamLog
	arrived chan struct{} // gets a value for each request
	release func()        // lets all requests go
}

func newSlowUpstream(t *testing.T) *slowUpstream {
	t.Helper()
	go1 := make(chan struct{})
	s := &slowUpstream{arrived: make(chan struct{}, 100), release: sync.OnceFunc(func() { close(go1) })}
	s.upstreamLog = newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		s.arrived <- struct{}{}
		select {
		case <-go1:
			_, _ = io.WriteString(w, "served") // a client that is gone needs none
		case <-r.Context().Done():
		}
	})
	t.Cleanup(s.release)
	return s
}

// begin sends a request on a connection of its own and returns that.
func (r *rig) begin(lines ...string) net.Conn {
	r.t.Helper()
	conn := r.dial()
	r.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, request("GET", "/x", append(lines, "Approov-Token: "+validToken(r.t, nil))...))
	return conn
}

// answerOn reads the answer on a connection.
func answerOn(t *testing.T, conn net.Conn) answer {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// until waits for something that becomes true by itself.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: got none in %s, want it", what, patience)
		}
	}
}

func (r *rig) queued(n string) {
	r.t.Helper()
	until(r.t, n+" requests in the queue", func() bool { return r.metric("approovgate_requests_queued") == n })
}

func TestRequestsAboveTheLimit(t *testing.T) {
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"in_flight": 1, "queue": 1, "queue_timeout": "1h"}))
	first := gate.begin()
	<-upstream.arrived
	t.Run("a bad token is refused although all is full: the verdict comes first", func(t *testing.T) {
		if got := gate.get("/x"); got.status != 401 {
			t.Errorf("got %d, want 401", got.status)
		}
	})
	second := gate.begin()
	gate.queued("1")
	t.Run("a request that finds the queue full is turned away at once", func(t *testing.T) {
		got := answerOn(t, gate.begin("X-Request-Id: shed-1"))
		if got.status != 503 || got.body != bodyOverloaded || got.header.Get("Retry-After") != "1" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Request-Id") != "shed-1" {
			t.Errorf("got %d %q %v, want 503 %q with Retry-After: 1, never stored, with its id", got.status, got.body, got.header, bodyOverloaded)
		}
	})
	t.Run("a gRPC call is turned away in gRPC's way", func(t *testing.T) {
		got := gate.send(request("POST", "/x", "Approov-Token: "+validToken(t, nil), "Content-Type: application/grpc", "Content-Length: 0"))
		if got.status != 200 || got.body != "" || got.header.Get("Grpc-Status") != "14" {
			t.Errorf("got %d %q %v, want 200 with grpc-status 14 and no body", got.status, got.body, got.header)
		}
	})
	t.Run("a bad token is refused although the queue is full, too", func(t *testing.T) {
		if got := gate.get("/x"); got.status != 401 {
			t.Errorf("got %d, want 401", got.status)
		}
	})
	if got := gate.metric("approovgate_requests_in_flight"); got != "1" {
		t.Errorf("in flight: got %s, want 1", got)
	}
	if got := gate.metric(`approovgate_requests_shed_total{cause="queue_full"}`); got != "2" {
		t.Errorf("turned away: got %s, want 2", got)
	}
	if upstream.count() != 1 {
		t.Errorf("upstream: got %d requests, want 1", upstream.count())
	}
	upstream.release()
	for name, conn := range map[string]net.Conn{"first": first, "second": second} {
		if got := answerOn(t, conn); got.status != 200 || got.body != "served" {
			t.Errorf("%s: got %d %q, want 200 served", name, got.status, got.body)
		}
	}
	until(t, "an empty gate", func() bool { return gate.metric("approovgate_requests_in_flight") == "0" })
}

func TestNoQueue(t *testing.T) {
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"in_flight": 1, "queue": 0}))
	gate.begin()
	<-upstream.arrived
	if got := answerOn(t, gate.begin()); got.status != 503 {
		t.Errorf("got %d, want 503", got.status)
	}
}

func TestTheQueueTimesOut(t *testing.T) {
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"in_flight": 1, "queue_timeout": "50ms"}))
	gate.begin()
	<-upstream.arrived
	if got := answerOn(t, gate.begin()); got.status != 503 || got.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %v, want 503 with Retry-After: 1", got.status, got.header)
	}
	if got := gate.metric(`approovgate_requests_shed_total{cause="queue_timeout"}`); got != "1" {
		t.Errorf("turned away: got %s, want 1", got)
	}
}

func TestClientsThatLeaveTheQueue(t *testing.T) {
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"in_flight": 1, "queue": 1, "queue_timeout": "1h"}))
	gate.begin()
	<-upstream.arrived
	t.Run("one that hangs up gives its place in the queue back", func(t *testing.T) {
		conn := gate.begin()
		gate.queued("1")
		conn.Close()
		gate.queued("0")
	})
	t.Run("one that has said all it has to say is not told that it was served", func(t *testing.T) {
		conn := gate.begin()
		gate.queued("1")
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && response.StatusCode < 400 {
			t.Errorf("got %d, want a failure or none: the request was never forwarded", response.StatusCode)
		}
	})
	if upstream.count() != 1 {
		t.Errorf("upstream: got %d requests, want 1", upstream.count())
	}
}

// TestPlacesAreGivenBack lets a gate with one place serve what ends in every way; the last request shows that
// the place is free.
func TestPlacesAreGivenBack(t *testing.T) {
	upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/half":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/socket":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn) // until the gate hangs up
		}
	})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, request string }{
		{"the upstream hangs up", request("GET", "/abort", token)},
		{"the upstream hangs up in a chunked request", request("POST", "/abort", token, "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{"the upstream hangs up half-way", request("GET", "/half", token)},
		{"the upstream hangs up half-way through the answer to a chunked request", request("POST", "/half", token, "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{"the body is malformed", request("POST", "/x", token, "Transfer-Encoding: chunked") + "zz\r\n"},
		{"a stream of events that stays open", request("GET", "/events", token, "Accept: text/event-stream")},
		{"a WebSocket that stays open", request("GET", "/socket", token, "Connection: Upgrade", "Upgrade: websocket")},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"in_flight": 1, "queue_timeout": patience.String(), "grace": "0s"}))
			conn := gate.dial()
			defer conn.Close()
			_, _ = io.WriteString(conn, row.request)
			if _, err := conn.Read(make([]byte, 1)); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if got := gate.get("/x", token); got.status != 200 {
				t.Errorf("the next request: got %d %q, want 200", got.status, got.body)
			}
			until(t, "a free place", func() bool { return gate.metric("approovgate_requests_in_flight") == "0" })
		})
	}
}

func TestInFlight(t *testing.T) {
	t.Run("those who wait are served in the order they came", func(t *testing.T) {
		f := newInFlight(Limits{InFlight: 1, Queue: 10, QueueTimeout: patience})
		f.enter(t.Context())
		served := make(chan int, 3)
		var waiting sync.WaitGroup
		for i := range 3 {
			waiting.Go(func() { // ends when its turn has come
				f.enter(t.Context())
				served <- i
				f.leave()
			})
			until(t, "a waiting request", func() bool { return f.waiting.Load() == int64(i+1) })
		}
		f.leave()
		waiting.Wait()
		for i := range 3 {
			if got := <-served; got != i {
				t.Errorf("served: got number %d, want %d", got, i)
			}
		}
		if f.inside() != 0 || f.waiting.Load() != 0 {
			t.Errorf("at the end: got %d inside and %d waiting, want none", f.inside(), f.waiting.Load())
		}
	})
	t.Run("a context that has ended takes no place in a full gate", func(t *testing.T) {
		f := newInFlight(Limits{InFlight: 1, Queue: 1, QueueTimeout: patience})
		f.enter(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if f.enter(ctx) || f.timedOut.Load() != 0 || f.full.Load() != 0 {
			t.Error("got a place or a count, want neither")
		}
	})
	t.Run("a place is left once", func(t *testing.T) {
		f := newInFlight(Limits{InFlight: 2})
		f.enter(t.Context())
		f.enter(t.Context())
		p := place{inFlight: f}
		p.held.Store(true)
		p.leave()
		p.leave()
		if f.inside() != 1 {
			t.Errorf("got %d inside, want 1", f.inside())
		}
	})
}
