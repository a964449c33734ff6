package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// brief is a timeout short enough to wait for, and long enough for a busy machine to do what comes before it.
const brief = time.Second

// withH2C lets clients begin with HTTP/2.
func withH2C(p *Proxy) { p.Tree["h2c"] = true }

// overHTTP2 is a client that speaks HTTP/2 without TLS.
func overHTTP2(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// post sends a request with a body through a client; the body of the response is the caller's to close.
func (r *rig) post(client *http.Client, body io.Reader) *http.Response {
	r.t.Helper()
	q, err := http.NewRequest("POST", "http://"+r.address+"/x", body)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Approov-Token", validToken(r.t, nil))
	response, err := client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	return response
}

// metric is the value of a metric, with its labels; the test fails when there is none.
func (r *rig) metric(name string) string {
	r.t.Helper()
	for line := range strings.Lines(r.probe("GET", "/metrics").body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	r.t.Fatalf("metrics: got none named %s, want it", name)
	return ""
}

// readsAll is a backend that answers once it has all of the body.
func readsAll(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // the gate gave up: the answer is its own
	}
	fmt.Fprint(w, n)
}

func TestASlowBodyIsCut(t *testing.T) {
	for _, row := range []struct {
		name, headers, part string
		status              int
		body                string
	}{
		{"a body that never begins", "Content-Length: 9", "", 408, bodySlow},
		{"a body that stops half-way", "Content-Length: 9", "abc", 408, bodySlow},
		{"a chunk that never comes", "Transfer-Encoding: chunked", "", 408, bodySlow},
		{"a chunk that stops half-way", "Transfer-Encoding: chunked", "9\r\nabc", 408, bodySlow},
		{"chunks that never end", "Transfer-Encoding: chunked", "3\r\nabc\r\n", 408, bodySlow},
		{"trailers that never end, which net/http takes for malformed ones", "Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n", 400, bodyMalformed},
		{"a body that waits to be asked for, and then does not come", "Expect: 100-continue\r\nContent-Length: 9", "", 408, bodySlow},
		{"a gRPC call is told in gRPC's way", "Content-Type: application/grpc\r\nContent-Length: 9", "abc", 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			gate := run(t, newUpstream(t, readsAll).URL, map[string]any{}, limited(map[string]any{"body_timeout": brief.String()}))
			conn := gate.dial()
			defer conn.Close()
			fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: %s\r\n%s\r\n\r\n%s", validToken(t, nil), row.headers, row.part)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			for err == nil && response.StatusCode == 100 { // the server's own, and perhaps the upstream's
				response, err = http.ReadResponse(reader, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != row.status || string(body) != row.body {
				t.Errorf("got %d %q, %v, want %d %q", response.StatusCode, body, err, row.status, row.body)
			}
			if _, err := reader.ReadByte(); err != io.EOF {
				t.Errorf("connection: got %v, want it closed: where the next request begins is not known", err)
			}
			if row.status == 200 && response.Header.Get("Grpc-Status") != "2" {
				t.Errorf("Grpc-Status: got %q, want 2", response.Header.Get("Grpc-Status"))
			}
			if got := gate.log.lines(`"level":"ERROR"`); got != nil {
				t.Errorf("log: got %q, want no error: the client is at fault", got)
			}
			if got := gate.metric(`approovgate_upstream_errors_total{kind="client"}`); got != "1" {
				t.Errorf("errors of the client: got %s, want 1", got)
			}
		})
	}
}

func TestASlowStreamLeavesItsNeighboursAlone(t *testing.T) {
	gate := run(t, newUpstream(t, readsAll).URL, map[string]any{}, withH2C, limited(map[string]any{"body_timeout": brief.String()}))
	client := overHTTP2(t)
	slow, never := io.Pipe()
	defer never.Close()
	response := gate.post(client, slow)
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != 408 || string(body) != bodySlow {
		t.Errorf("a slow body: got %d %q, %v, want 408 %q", response.StatusCode, body, err, bodySlow)
	}
	response = gate.post(client, strings.NewReader("abc"))
	body, err = io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != 200 || string(body) != "3" {
		t.Errorf("the next request: got %d %q, %v, want 200 3", response.StatusCode, body, err)
	}
	if got := gate.metric("approovgate_connections_accepted_total"); got != "1" {
		t.Errorf("connections: got %s, want 1: one stream's fault must not end those beside it", got)
	}
}

func TestMalformedBodies(t *testing.T) {
	gate := run(t, newUpstream(t, readsAll).URL, map[string]any{})
	for _, row := range []struct{ name, chunks string }{
		{"a size that is no number", "zz\r\nabc\r\n0\r\n\r\n"},
		{"a size with a sign", "+3\r\nabc\r\n0\r\n\r\n"},
		{"a size with a prefix", "0x3\r\nabc\r\n0\r\n\r\n"},
		{"no size", "\r\nabc\r\n0\r\n\r\n"},
		{"a size that needs 68 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"},
		{"a chunk longer than it says", "2\r\nabc\r\n0\r\n\r\n"},
		{"a chunk that ends without a line", "3\r\nabc0\r\n\r\n"},
		{"an extension without end", "3;" + strings.Repeat("x", 8<<10) + "\r\nabc\r\n0\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := gate.send("POST /x HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: " + validToken(t, nil) + "\r\nTransfer-Encoding: chunked\r\n\r\n" + row.chunks)
			if got.status != 400 || got.body != bodyMalformed {
				t.Errorf("got %d %q, want 400 %q", got.status, got.body, bodyMalformed)
			}
		})
	}
	if got := gate.log.lines(`"level":"ERROR"`); got != nil {
		t.Errorf("log: got %q, want no error: the clients are at fault", got)
	}
}

func TestAClientThatHangsUpWhileSendingIsNoFault(t *testing.T) {
	gone := make(chan struct{})
	upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		defer close(gone)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("upstream: got a whole body, want one that breaks off")
		}
	})
	gate := run(t, upstream.URL, map[string]any{})
	conn := gate.dial()
	fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: %s\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", validToken(t, nil))
	conn.Close()
	<-gone
	gate.log.wait(t, `"request":{"method":"POST"`, 1) // which of the two ends shows first is chance
	if got := gate.log.lines(`"level":"ERROR"`); got != nil {
		t.Errorf("log: got %q, want no error", got)
	}
}

// TestTheBodysDeadlineEndsWithTheBody waits longer than the timeout after the body has come, in a response
// and between two requests.
func TestTheBodysDeadlineEndsWithTheBody(t *testing.T) {
	for _, row := range []struct{ name, body string }{
		{"of known length", "Content-Length: 3\r\n\r\nabc"},
		{"in chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{"in chunks with a trailer", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"},
	} {
		t.Run("a body "+row.name, func(t *testing.T) {
			t.Parallel()
			upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // what is missing shows below
				_, _ = io.WriteString(w, "first")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(2 * brief):
				}
				_, _ = io.WriteString(w, " and later")
			})
			gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"body_timeout": brief.String()}))
			conn := gate.dial()
			defer conn.Close()
			reader := bufio.NewReader(conn)
			for _, which := range []string{"first", "second"} {
				fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: %s\r\n%s", validToken(t, nil), row.body)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatalf("%s request: %v", which, err)
				}
				if got, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(got) != "first and later" {
					t.Errorf("%s request: got %d %q, %v, want 200 and all of it", which, response.StatusCode, got, err)
				}
			}
		})
	}
}

// TestAnUpstreamThatAnswersEarlyHurtsNobody has an upstream that answers before it has the body. The
// transport goes on reading that when the handler has returned, and must not touch the stream then: net/http
// has given its state away, and the process would fall.
func TestAnUpstreamThatAnswersEarlyHurtsNobody(t *testing.T) {
	upstream := rawUpstream(t, func(c net.Conn, _ string) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.Copy(io.Discard, c) // until the gate has enough
	})
	gate := run(t, "http://"+upstream, map[string]any{}, withH2C)
	client := overHTTP2(t)
	for range 10 {
		body, more := io.Pipe()
		go func() { _, _ = more.Write(make([]byte, 1000)) }() // ends when it is read or closed; there is more to come
		response := gate.post(client, body)
		if got, err := io.ReadAll(response.Body); err != nil || string(got) != "ok" {
			t.Errorf("got %q, %v, want ok", got, err)
		}
		response.Body.Close()
		body.Close()
	}
}

// TestALongAnswerBeforeTheBodyHasCome has an upstream that begins to answer half-way through the body.
func TestALongAnswerBeforeTheBodyHasCome(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		for line := ""; line != "\r\n"; { // the head alone: what else comes does not matter to it
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nfirst")
		close(begun)
		<-time.After(3 * brief)
		fmt.Fprint(conn, " and later")
		_, _ = io.Copy(io.Discard, in) // until the gate has enough
	})
	gate := run(t, "http://"+upstream, map[string]any{}, limited(map[string]any{"body_timeout": brief.String()}))
	conn := gate.dial()
	defer conn.Close()
	fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: %s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", validToken(t, nil))
	within(t, "the request at the upstream", begun)
	fmt.Fprint(conn, "3\r\ndef\r\n0\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(response.Body); err != nil || string(got) != "first and later" {
		t.Errorf("got %q, %v, want all of it", got, err)
	}
}

// deadlines is a connection of which only the deadlines are of interest.
type deadlines struct {
	http.ResponseWriter
	read []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = append(d.read, at)
	return nil
}

func TestTheBodysDeadlineMovesWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := new(deadlines)
		const timeout = time.Minute
		begin := time.Now()
		body := newClientBody(conn, httptest.NewRequest("POST", "/", iotest.OneByteReader(strings.NewReader("ab"))), timeout)
		one := make([]byte, 1)
		for _, pause := range []time.Duration{0, timeout / 8, timeout / 2} { // a, b, the end
			<-time.After(pause)
			_, _ = body.Read(one)
		}
		want := []time.Time{begin.Add(timeout + timeout/8 + timeout/2), {}} // the first is there before the body is: see boundBody
		if fmt.Sprint(conn.read) != fmt.Sprint(want) {
			t.Errorf("deadlines: got %v, want %v", conn.read, want)
		}
	})
	t.Run("a body that fails names the client", func(t *testing.T) {
		body := newClientBody(new(deadlines), httptest.NewRequest("POST", "/", iotest.ErrReader(io.ErrUnexpectedEOF)), time.Minute)
		_, err := body.Read(make([]byte, 1))
		var client *clientError
		if !errors.As(err, &client) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want the cause as the client's fault", err)
		}
	})
}

func TestResponseNotesTheOutcome(t *testing.T) {
	for _, row := range []struct {
		name   string
		write  func(w http.ResponseWriter)
		status int
		bytes  int64
	}{
		{"nothing at all", func(http.ResponseWriter) {}, 0, 0},
		{"bytes mean 200", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "abc") }, 200, 3},
		{"the first status counts", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 404, 0},
		{"an interim response is none", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(204) }, 204, 0},
		{"several writes add up", func(w http.ResponseWriter) {
			w.WriteHeader(201)
			_, _ = io.WriteString(w, "ab")
			_, _ = io.WriteString(w, "c")
		}, 201, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newResponse(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), 0)
			row.write(w)
			if w.status != row.status || w.bytes != row.bytes {
				t.Errorf("got %d with %d bytes, want %d with %d", w.status, w.bytes, row.status, row.bytes)
			}
		})
	}
}

// lateWriter is a client's end that notices when its deadline is set after the handler has ended: there,
// HTTP/2 of net/http has given the stream's state away, and the process would fall.
type lateWriter struct {
	http.ResponseWriter
	setting chan struct{} // closed when a deadline is being set
	ended   chan struct{} // closed when the handler has ended
	late    chan bool     // whether the handler ended while the deadline was being set
}

func (w *lateWriter) Write(p []byte) (int, error) {
	<-w.setting // the client takes nothing until the timer fires, and something just then
	return len(p), nil
}

func (w *lateWriter) SetWriteDeadline(time.Time) error {
	close(w.setting)
	select {
	case <-w.ended:
		w.late <- true
	case <-time.After(brief):
		w.late <- false
	}
	return nil
}

func TestAStallNeverOutlivesTheHandler(t *testing.T) {
	w := &lateWriter{ResponseWriter: httptest.NewRecorder(), setting: make(chan struct{}), ended: make(chan struct{}), late: make(chan bool, 1)}
	watched := newResponse(w, httptest.NewRequest("GET", "/", nil), time.Millisecond)
	_, _ = watched.Write([]byte("x"))
	close(w.ended)
	if <-w.late {
		t.Error("the handler ended while the timer was using its writer; want it to wait")
	}
}
