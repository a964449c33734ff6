package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// talk is a request under way: the connection it was sent on and, from there, its response.
type talk struct {
	net.Conn
	in       *bufio.Reader
	response *http.Response
}

// open sends a request as it stands and returns without waiting for the response.
func (r *rig) open(request string) *talk {
	r.t.Helper()
	conn := r.dial()
	r.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	return &talk{Conn: conn, in: bufio.NewReader(conn)}
}

// head reads the response up to its body.
func (e *talk) head(t *testing.T, method string) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(e.in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("response: %v", err)
	}
	e.response = response
	return response
}

// TestResponseHeadDoesNotWaitForTheBody: a client may have to act on the head before there is a first byte.
func TestResponseHeadDoesNotWaitForTheBody(t *testing.T) {
	for _, row := range []struct{ name, field, value string }{
		{"of unknown length", "X-Nothing", "1"},
		{"of known length", "Content-Length", "5"},
		{"of events", "Content-Type", "text/event-stream;charset=utf-8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			arrived := make(chan struct{})
			release := sync.OnceFunc(func() { close(arrived) })
			defer release()
			upstream := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(row.field, row.value)
				_ = http.NewResponseController(w).Flush()
				<-arrived
				_, _ = io.WriteString(w, "hello")
			})
			e := run(t, upstream.URL, map[string]any{}).open(request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
			response := e.head(t, "GET")
			release()
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello" {
				t.Errorf("got %q, %v, want hello", body, err)
			}
		})
	}
}

// TestEachByteArrivesAtOnce sends a byte only when the one before has arrived, so that a buffer on the way
// would stop everything.
func TestEachByteArrivesAtOnce(t *testing.T) {
	const text = "drop by drop"
	for _, kind := range []string{"text/event-stream", "application/octet-stream"} {
		t.Run("to the client, "+kind, func(t *testing.T) {
			next := make(chan struct{}, len(text))
			upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", kind)
				for i := range len(text) {
					_, _ = io.WriteString(w, text[i:i+1])
					_ = http.NewResponseController(w).Flush()
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
				}
			})
			response := run(t, upstream.URL, map[string]any{}).open(request("GET", "/x", "Approov-Token: "+validToken(t, nil))).head(t, "GET")
			one := make([]byte, 1)
			for i := range len(text) {
				if _, err := io.ReadFull(response.Body, one); err != nil || one[0] != text[i] {
					t.Fatalf("byte %d: got %q, %v, want %q", i, one, err, text[i])
				}
				next <- struct{}{}
			}
		})
	}
	t.Run("to the backend", func(t *testing.T) {
		got := make(chan byte)
		upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			in := bufio.NewReader(r.Body)
			for b, err := in.ReadByte(); err == nil; b, err = in.ReadByte() {
				got <- b
			}
		})
		e := run(t, upstream.URL, map[string]any{}).open(request("POST", "/x", coded, "Approov-Token: "+validToken(t, nil)))
		for i := range len(text) {
			if _, err := io.WriteString(e, chunk(text[i:i+1])); err != nil {
				t.Fatal(err)
			}
			select {
			case b := <-got:
				if b != text[i] {
					t.Fatalf("byte %d: got %q, want %q", i, b, text[i])
				}
			case <-time.After(patience):
				t.Fatalf("byte %d: got nothing, want it before the next is sent", i)
			}
		}
		if _, err := io.WriteString(e, lastChunk); err != nil {
			t.Fatal(err)
		}
		if response := e.head(t, "POST"); response.StatusCode != 200 {
			t.Errorf("status: got %d, want 200", response.StatusCode)
		}
	})
}

// TestEarlyResponse: a backend that answers before it has read the request is heard, although the client is still
// sending. (One that pauses meanwhile hears it when its pause is too long: see
// TestAnswersDoNotWaitForABodyForever.)
func TestEarlyResponse(t *testing.T) {
	upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		_, _ = io.Copy(io.Discard, in) // what is under way, so that the answer is not reset
	})
	e := run(t, "http://"+upstream, map[string]any{}).open(request("POST", "/x", "Content-Length: 1000000000", "Approov-Token: "+validToken(t, nil)))
	go io.Copy(e, zeros{}) // ends when the gate or this test closes the connection
	response := e.head(t, "POST")
	body := make([]byte, 3)
	if _, err := io.ReadFull(response.Body, body); err != nil || response.StatusCode != 413 || string(body) != "big" {
		t.Errorf("got %d %q, %v, want 413 big", response.StatusCode, body, err)
	}
}

func TestBodilessResponses(t *testing.T) {
	for _, row := range []struct {
		name, method, answer string
		status               int
		length               string
	}{
		{"HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nEtag: \"x\"\r\n\r\n", 200, "1234"},
		{"HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\nEtag: \"x\"\r\n\r\n", 200, ""},
		{"204", "DELETE", "HTTP/1.1 204 No Content\r\nEtag: \"x\"\r\n\r\n", 204, ""},
		{"205", "POST", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nEtag: \"x\"\r\n\r\n", 205, "0"},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n", 304, ""},
		{"304 with the length of what was not sent, which may go", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nEtag: \"x\"\r\n\r\n", 304, ""},
		{"200 of nothing", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nEtag: \"x\"\r\n\r\n", 200, "0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate := run(t, "http://"+bareUpstream(t, answering(row.answer)), map[string]any{})
			ask := request(row.method, "/x", "Approov-Token: "+validToken(t, nil))
			e := gate.open(ask + ask) // a body that should not be there would spoil the second answer
			for range 2 {
				response := e.head(t, row.method)
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != row.status || len(body) > 0 || response.Header.Get("Etag") != `"x"` {
					t.Errorf("got %d %q with Etag %q, %v, want %d without content", response.StatusCode, body, response.Header.Get("Etag"), err, row.status)
				}
				if got := response.Header.Get("Content-Length"); got != row.length {
					t.Errorf("Content-Length: got %q, want %q", got, row.length)
				}
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	t.Run("announced and not announced trailers of a response arrive", func(t *testing.T) {
		gate := run(t, "http://"+bareUpstream(t, answering("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"+
			chunk("hello")+"0\r\nX-Sum: 5\r\nX-Late: 1\r\nX-Late: 2\r\n\r\n")), map[string]any{})
		response := gate.open(request("GET", "/x", "Approov-Token: "+validToken(t, nil))).head(t, "GET")
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != "hello" || response.Trailer.Get("X-Sum") != "5" || fmt.Sprint(response.Trailer["X-Late"]) != "[1 2]" {
			t.Errorf("got %q, %v with trailers %v, want hello with X-Sum 5 and X-Late 1 and 2", body, err, response.Trailer)
		}
		if got := response.Header["X-Late"]; got != nil {
			t.Errorf("X-Late before the body: got %q, want it behind", got)
		}
	})
	t.Run("a request's trailer is not announced unless it arrives, and never speaks for the gate", func(t *testing.T) {
		backend := newTap(t)
		gate := run(t, "http://"+backend.listener.Addr().String(), map[string]any{})
		token := "Approov-Token: " + validToken(t, nil)
		gate.send(request("POST", "/x", coded, "Trailer: X-Sum, X-Approov-Verdict", token) + chunk("hello") +
			"0\r\nX-Sum: 5\r\nX-Approov-Verdict: forged\r\n" + token + "\r\n\r\n")
		got := backend.streams()[0]
		announced := strings.Contains(got, "\r\nTrailer:")
		if arrived := strings.Contains(got, "\r\nX-Sum: 5\r\n"); announced != arrived {
			t.Errorf("X-Sum: got it announced %t and there %t, want the same:\n%q", announced, arrived, got)
		}
		if strings.Contains(got, "forged") || strings.Contains(got, token) {
			t.Errorf("got %q, want neither verdict nor token in the trailer", got)
		}
	})
}

// TestTornResponsesStayTorn: a client must be able to tell a response that broke off from a whole one.
func TestTornResponsesStayTorn(t *testing.T) {
	for _, row := range []struct{ name, answer string }{
		{"a length that is not reached", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"},
		{"chunks without a last one", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello")},
		{"a chunk that breaks off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello"},
		{"a chunk's size that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello") + "zz\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate := run(t, "http://"+bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
				if readRequest(in) {
					fmt.Fprint(conn, row.answer)
				}
			}), map[string]any{})
			e := gate.open(request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
			response, err := http.ReadResponse(e.in, nil)
			if err != nil {
				return // torn before the head was passed on: the client cannot take it for whole either
			}
			if body, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix("hello", string(body)) {
				t.Errorf("got %q, %v, want at most hello and an error", body, err)
			}
		})
	}
}

// TestTornRequestsStayTorn: the backend must not take half a request for a whole one. It may get nothing at all.
func TestTornRequestsStayTorn(t *testing.T) {
	for _, row := range []struct{ name, framing, body string }{
		{"a short length that is not reached", "Content-Length: 100", "hello"},
		{"a long length that is not reached", "Content-Length: 1000000", "hello"},
		{"chunks without a last one", coded, chunk("hello")},
		{"a chunk's size that is none", coded, chunk("hello") + "zz\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			outcome := make(chan error, 1)
			upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				outcome <- err
			})
			gate := run(t, upstream.URL, map[string]any{})
			e := gate.open(request("POST", "/x", row.framing, "Approov-Token: "+validToken(t, nil)) + row.body)
			gate.log.wait(t, "request forwarded", 1)
			e.Close()
			if err := gate.stop(); err != nil {
				t.Fatal(err)
			}
			upstream.Close() // waits for the handler
			select {
			case err := <-outcome:
				if err == nil {
					t.Error("backend: got a whole body, want an error or no request")
				}
			default:
			}
		})
	}
}

// TestLargeBodiesInLittleMemory sends 100 MB each way. What the process allocates meanwhile, client and backend
// of this test included, must not grow with them.
func TestLargeBodiesInLittleMemory(t *testing.T) {
	const size, most = 100 << 20, 20 << 20
	upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		if !readRequest(in) {
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = io.CopyN(conn, zeros{}, size) // a shortage shows at the client
	})
	gate := run(t, "http://"+upstream, map[string]any{})
	e := gate.open(request("PUT", "/x", fmt.Sprintf("Content-Length: %d", size), "Approov-Token: "+validToken(t, nil)))
	_ = e.SetDeadline(time.Now().Add(6 * patience)) // a slow machine needs its time for 200 MB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := io.CopyN(e, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, e.head(t, "PUT").Body)
	runtime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Errorf("response: got %d bytes, %v, want %d; log:\n%s", n, err, size, gate.log)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > most {
		t.Errorf("allocated: got %d MB for %d MB, want at most %d", got>>20, 2*size>>20, most>>20)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
