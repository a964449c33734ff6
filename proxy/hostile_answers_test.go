package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hostile is a backend that answers /good well, and everything else as serve does, which gets the connection once
// a request's head has arrived.
func hostile(t *testing.T, serve func(conn net.Conn, in *bufio.Reader)) string {
	t.Helper()
	return bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.URL.Path != "/good" {
				serve(conn, in)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
		}
	})
}

// untilClosed waits until the gate closes the connection.
func untilClosed(in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }

// saying is an answer that stands as text, on a connection that stays open.
func saying(text string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		fmt.Fprint(conn, text)
		untilClosed(in)
	}
}

// forever repeats text until the gate has enough.
func forever(begin, text string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, _ *bufio.Reader) {
		for _, err := io.WriteString(conn, begin); err == nil; {
			_, err = io.WriteString(conn, text)
		}
	}
}

// TestHostileUpstreams: whatever comes in place of a response, the client gets an answer of the gate in time, and the
// next request is served.
func TestHostileUpstreams(t *testing.T) {
	for _, row := range []struct {
		name   string
		serve  func(net.Conn, *bufio.Reader)
		status int
	}{
		{"nothing at all", func(_ net.Conn, in *bufio.Reader) { untilClosed(in) }, 504},
		{"half a head, then nothing", saying("HTTP/1.1 200 OK\r\nX-Half: "), 504},
		{"a head byte by byte", func(conn net.Conn, _ *bufio.Reader) {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Slow: "); err == nil; <-pace.C {
				_, err = io.WriteString(conn, "x")
			}
		}, 504},
		{"an end without an answer", func(net.Conn, *bufio.Reader) {}, 502},
		{"a reset", func(conn net.Conn, _ *bufio.Reader) { _ = conn.(*net.TCPConn).SetLinger(0) }, 502},
		{"random bytes", saying("\x00\xff\x16\x03\x01 garbage\r\n\r\n"), 502},
		{"a preface of HTTP/2", saying("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 502},
		{"a TLS alert", saying("\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n"), 502},
		{"a status that is no number", saying("HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"), 502},
		{"a status of two digits", saying("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), 502},
		{"a status below 100", saying("HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"), 502},
		{"a status of four digits", saying("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), 502},
		{"a field without a colon", saying("HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n"), 502},
		{"a negative length", saying("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), 502},
		{"two lengths", saying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"), 502},
		{"an unknown coding", saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 502},
		{"a switch of protocols nobody asked for", saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), 502},
		{"a field without end", forever("HTTP/1.1 200 OK\r\nX-Long: ", strings.Repeat("x", 4096)), 502},
		{"fields without end", forever("HTTP/1.1 200 OK\r\n", strings.Repeat("X-Many: y\r\n", 400)), 502},
	} {
		for _, method := range []string{"GET", "POST"} { // the second goes another way: its length is unknown
			t.Run(row.name+" to "+method, func(t *testing.T) {
				limits := map[string]any{}
				if row.status == 504 {
					limits["response_timeout"] = "400ms"
				}
				gate := run(t, "http://"+hostile(t, row.serve), map[string]any{}, limited(limits))
				token := "Approov-Token: " + validToken(t, nil)
				gate.get("/good", token) // so that the bad answer comes on a connection that was good
				ask := request("GET", "/bad", token)
				if method == "POST" {
					ask = request("POST", "/bad", token, coded) + chunk("x") + lastChunk
				}
				got := gate.send(ask) // fails where there is no answer at all
				want := map[int]string{502: bodyBadGateway, 504: bodyTimeout}[row.status]
				if got.status != row.status || got.body != want || got.header.Get("Cache-Control") != "no-store" {
					t.Errorf("got %d %q, want %d %q, never stored", got.status, got.body, row.status, want)
				}
				if got := gate.get("/good", token); got.status != 200 || got.body != "good" {
					t.Errorf("next request: got %d %q, want 200 good", got.status, got.body)
				}
			})
		}
	}
}

// TestEndlessInterimResponses: 1xx responses do not put off the time by which there must be a final one.
func TestEndlessInterimResponses(t *testing.T) {
	gate := run(t, "http://"+hostile(t, forever("", "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")), map[string]any{},
		limited(map[string]any{"response_timeout": "400ms"}))
	token := "Approov-Token: " + validToken(t, nil)
	e := gate.open(request("GET", "/bad", token))
	status := 103
	for status == 103 {
		status = e.head(t, "GET").StatusCode
	}
	if status != 504 && status != 502 {
		t.Errorf("final status: got %d, want 504, or 502 for too many", status)
	}
	if got := gate.get("/good", token); got.status != 200 {
		t.Errorf("next request: got %d, want 200", got.status)
	}
}

// TestBothFramingsOfAResponse: one that has length and coding is refused or passed on with one of the two.
func TestBothFramingsOfAResponse(t *testing.T) {
	gate := run(t, "http://"+hostile(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk("hello")+lastChunk)), map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, ask := range []string{request("GET", "/bad", token), request("POST", "/bad", token, coded) + lastChunk} {
		got := gate.send(ask)
		passed := got.status == 200 && got.body == "hello" && got.header.Get("Content-Length") != "3"
		if !passed && got.status != 502 {
			t.Errorf("got %d %q with length %q, want 200 hello by the coding, or 502", got.status, got.body, got.header.Get("Content-Length"))
		}
	}
}

// TestUnsolicitedResponses: what the backend says unasked, behind an answer or on an idle connection, never answers
// anybody, and is not quoted in the log.
func TestUnsolicitedResponses(t *testing.T) {
	silenceTransport(t)
	const forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	spoken := make(chan struct{}, 1000)
	for _, row := range []struct{ name, answer, late string }{
		{"behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + forged, ""},
		{"behind the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("good") + lastChunk + forged, ""},
		{"behind a 204", "HTTP/1.1 204 No Content\r\n\r\n" + forged, ""},
		{"behind a 304", "HTTP/1.1 304 Not Modified\r\n\r\n" + forged, ""},
		{"later", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", forged},
	} {
		t.Run(row.name, func(t *testing.T) {
			upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
				for readRequest(in) {
					fmt.Fprint(conn, row.answer)
					if row.late != "" {
						fmt.Fprint(conn, row.late)
						spoken <- struct{}{}
					}
				}
			})
			gate := run(t, "http://"+upstream, map[string]any{})
			token := "Approov-Token: " + validToken(t, nil)
			for i := range 100 {
				ask := request("GET", "/x", token)
				if i%2 == 1 { // goes another way: its length is unknown
					ask = request("PUT", "/x", token, coded) + chunk("x") + lastChunk
				}
				if got := gate.send(ask); got.body == "forged" {
					t.Fatalf("request %d: got the forged answer, want its own", i)
				}
				if row.late != "" {
					<-spoken
				}
			}
			if strings.Contains(gate.log.String(), "forged") {
				t.Error("log: got the backend's bytes, want none")
			}
		})
	}
}

// silenceTransport keeps away what http.Transport writes past every logger it is given: it quotes responses that
// nobody asked for.
func silenceTransport(t *testing.T) {
	standard := log.Writer()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(standard) })
}

// TestRequestsAreNotSentTwice: on a connection that the backend closes when the next request comes, a GET may be tried
// again; what changes something may not.
func TestRequestsAreNotSentTwice(t *testing.T) {
	for _, row := range []struct {
		name, text string
		status     int
		most       int32
	}{
		{"a GET is tried again", "GET", 200, 2},
		{"a POST with content is not", "POST\nContent-Length: 5\n\nhello", 502, 1},
		{"a POST with chunks is not", "POST\n" + coded + "\n\n5\r\nhello\r\n0\r\n\r\n", 502, 1},
		{"a POST without content is not", "POST\nContent-Length: 0", 502, 1},
		{"a DELETE is not", "DELETE", 502, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			var seen, first atomic.Int32
			upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
				for n := 0; ; n++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body) // a torn one is seen all the same
					if r.URL.Path == "/x" {
						seen.Add(1)
						if first.Add(1) == 1 {
							return // on a connection that has been used before
						}
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
				}
			})
			gate := run(t, "http://"+upstream, map[string]any{})
			token := "Approov-Token: " + validToken(t, nil)
			gate.get("/warm", token)
			// The same way to the backend as the request below: chunks go another one.
			gate.send(request("POST", "/warm", token, coded) + lastChunk)
			method, rest, _ := strings.Cut(row.text, "\n")
			lines, body, _ := strings.Cut(rest, "\n\n")
			got := gate.send(request(method, "/x", strings.TrimSpace("X-Nothing: 1\r\n"+lines), token) + body)
			if got.status != row.status || seen.Load() > row.most {
				t.Errorf("got %d and %d requests at the backend, want %d and at most %d", got.status, seen.Load(), row.status, row.most)
			}
		})
	}
}

// TestEndlessResponseInLittleMemory: a client that has enough of a response without end ends it at the backend, too.
func TestEndlessResponseInLittleMemory(t *testing.T) {
	const enough, most = 50 << 20, 20 << 20
	ended := make(chan error, 1)
	gate := run(t, "http://"+hostile(t, func(conn net.Conn, _ *bufio.Reader) {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", int64(10)<<30)
		_, err := io.CopyN(conn, zeros{}, 10<<30)
		ended <- err
	}), map[string]any{})
	e := gate.open(request("GET", "/bad", "Approov-Token: "+validToken(t, nil)))
	_ = e.SetDeadline(time.Now().Add(3 * patience)) // a slow machine needs its time for 50 MB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := io.CopyN(io.Discard, e.head(t, "GET").Body, enough); err != nil {
		t.Fatal(err)
	}
	e.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("backend: got all bytes taken, want its connection closed")
		}
	case <-time.After(patience):
		t.Error("backend: got its connection kept open, want it closed")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > most {
		t.Errorf("allocated: got %d MB, want at most %d", got>>20, most>>20)
	}
}

// TestHangInTheBody: a stream may pause for long; but when the client goes, so does the connection to the backend.
func TestHangInTheBody(t *testing.T) {
	closed := make(chan struct{})
	gate := run(t, "http://"+hostile(t, func(conn net.Conn, in *bufio.Reader) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
		untilClosed(in)
		close(closed)
	}), map[string]any{})
	e := gate.open(request("GET", "/bad", "Approov-Token: "+validToken(t, nil)))
	body := make([]byte, 5)
	if _, err := io.ReadFull(e.head(t, "GET").Body, body); err != nil || string(body) != "hello" {
		t.Fatalf("got %q, %v, want hello", body, err)
	}
	e.Close()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("backend: got its connection kept open, want it closed")
	}
}

// TestWhatCannotBeDecodedPasses: the gate does not look into content.
func TestWhatCannotBeDecodedPasses(t *testing.T) {
	body := append([]byte("\x1f\x8b\x08\x00 no gzip "), bytes.Repeat([]byte{0xff, 0x00}, 500)...)
	gate := run(t, "http://"+bareUpstream(t, answering(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body))), map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, line := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity", "X-Nothing: 1"} {
		got := gate.get("/x", token, line)
		if got.status != 200 || got.body != string(body) || got.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: got %d and %d bytes coded %q, want them as they were", line, got.status, len(got.body), got.header.Get("Content-Encoding"))
		}
	}
}

// TestUpstreamTLSFailures: no answer of an upstream that cannot be verified is taken, and one that does not finish
// its handshake is given up.
func TestUpstreamTLSFailures(t *testing.T) {
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake is the point
	old.StartTLS()
	t.Cleanup(old.Close)
	for _, row := range []struct {
		name, upstream string
		status         int
	}{
		{"a certificate nobody vouches for", old.Listener.Addr().String(), 502},
		{"no TLS", bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
			_, _ = in.ReadByte()
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			untilClosed(in)
		}), 502},
		{"an end in the handshake", bareUpstream(t, func(_ net.Conn, in *bufio.Reader) { _, _ = in.ReadByte() }), 502},
		{"a handshake without end", bareUpstream(t, func(_ net.Conn, in *bufio.Reader) { untilClosed(in) }), 504},
	} {
		t.Run(row.name, func(t *testing.T) {
			limits := map[string]any{}
			if row.status == 504 {
				limits["dial_timeout"] = "400ms"
			}
			gate := run(t, "https://"+row.upstream, map[string]any{}, limited(limits))
			if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != row.status {
				t.Errorf("status: got %d, want %d", got.status, row.status)
			}
		})
	}
}
