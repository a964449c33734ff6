package source_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/approovgate/approovgate/internal/porttest"
	"github.com/approovgate/approovgate/source"
)

// A server that repeats what it was sent must not bring the token into an error, nor anything else of its own.
func TestErrorsRepeatNothingOfWhatTheServerSent(t *testing.T) {
	for name, form := range map[string]string{
		"a status line":     "%s\r\n\r\n",
		"a version":         "HTTP/%s 200 OK\r\n\r\n",
		"a status code":     "HTTP/1.1 %s\r\n\r\n",
		"a header line":     "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"a folded header":   "HTTP/1.1 200 OK\r\n %s\r\n\r\n",
		"a header's name":   "HTTP/1.1 200 OK\r\n%s (: a\r\n\r\n",
		"a length":          "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"a coding":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
		"a chunk's length":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
		"a trailer":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
		"a trailer's name":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, %s\r\n\r\n0\r\n\r\n",
		"an interim answer": "HTTP/1.1 103 %s\r\n%s\r\n\r\n",
		"a redirect":        "HTTP/1.1 302 Found\r\nLocation: https://[%s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, ca := serveRaw(t, func(conn net.Conn, request string) {
				at := strings.Index(request, "Bearer ")
				token, _, _ := strings.Cut(request[at+len("Bearer "):], "\r\n")
				_, _ = conn.Write([]byte(strings.ReplaceAll(form, "%s", token)))
			})
			r, err := source.NewRemote(url, trust(t, ca), bearer)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = r.Fetch(context.Background(), "")
			if err == nil || strings.Contains(err.Error(), bearerToken) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want one line without the token", err)
			}
		})
	}
}

// serveRaw answers each connection's first request by hand, then closes it.
func serveRaw(t *testing.T, answer func(conn net.Conn, request string)) (url string, ca []byte) {
	t.Helper()
	certificate := selfSigned(t, time.Now().Add(time.Hour))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				answer(conn, readRequest(conn))
			})
		}
	})
	return "https://" + listener.Addr().String(), authority(certificate.Leaf)
}

// readRequest reads the header of a request.
func readRequest(conn net.Conn) string {
	var request []byte
	buffer := make([]byte, 4096)
	for !bytes.Contains(request, []byte("\r\n\r\n")) {
		n, err := conn.Read(buffer)
		if err != nil {
			break
		}
		request = append(request, buffer[:n]...)
	}
	return string(request)
}

func TestEndlessAnswersAreCutOff(t *testing.T) {
	for name, row := range map[string]struct{ begin, more, err string }{
		"a body of 10 GB":      {"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", "xxxxxxxx", "more than 65536 bytes"},
		"an endless body":      {"HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx", "more than 65536 bytes"},
		"endless chunks":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\nxxxxxxxx\r\n", "more than 65536 bytes"},
		"an endless header":    {"HTTP/1.1 200 OK\r\n", "X-More: again\r\n", "exceeded 16384 bytes"},
		"an endless line":      {"HTTP/1.1 200 OK\r\nX-More: ", "xxxxxxxx", "exceeded 16384 bytes"},
		"endless interim ones": {"", "HTTP/1.1 103 Early Hints\r\nX-More: again\r\n\r\n", "no answer: "},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			url, ca := serveRaw(t, func(conn net.Conn, _ string) {
				_, err := conn.Write([]byte(row.begin))
				block := []byte(strings.Repeat(row.more, 512))
				for err == nil {
					_, err = conn.Write(block)
					sent.Add(int64(len(block)))
				}
			})
			r, err := source.NewRemote(url, trust(t, ca), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Fetch(context.Background(), "")
			wantFetched(t, got, err, "", row.err)
			if n := sent.Load(); n > 64<<20 {
				t.Errorf("got %d bytes sent, want the connection closed long before", n)
			}
			r.Close()
		})
	}
}

func TestAServerThatHangs(t *testing.T) {
	for name, begin := range map[string]string{
		"before its header": "",
		"within its header": "HTTP/1.1 200 OK\r\nX-A: ",
		"within its body":   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			url, ca := serveRaw(t, func(conn net.Conn, _ string) {
				_, _ = conn.Write([]byte(begin))
				readRequest(conn) // until the client hangs up
			})
			r, err := source.NewRemote(url, trust(t, ca), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			got, err := r.Fetch(ctx, "")
			wantFetched(t, got, err, "", "no complete answer within 5s")
		})
	}
}

// The bound is Fetch's own, and holds for a handshake that never ends and a body that trickles in.
func TestFetchEndsByItself(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	trickle := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			<-tick.C
		}
	})
	var both sync.WaitGroup
	for name, url := range map[string]string{"no handshake": "https://" + listener.Addr().String(), "a body that trickles in": trickle.URL} {
		both.Go(func() {
			began := time.Now()
			_, err := remote(t, trickle, url, nil).Fetch(context.Background(), "")
			if err == nil || err.Error() != "no complete answer within 5s" {
				t.Errorf("%s: got error %v, want that of the bound", name, err)
			}
			if took := time.Since(began); took < source.FetchTimeout {
				t.Errorf("%s: got an end after %v, want at least %v", name, took, source.FetchTimeout)
			}
		})
	}
	both.Wait()
}

func TestErrorsThatLastReadTheSame(t *testing.T) {
	reset, ca := serveRaw(t, func(conn net.Conn, _ string) {
		plain := conn.(*tls.Conn).NetConn().(*net.TCPConn)
		_ = plain.SetLinger(0) // closing then resets
		plain.Close()
	})
	// No name has a part of more than 63 bytes (RFC 1035 §2.3.4), so that no server of names is asked for this one.
	nobody := strings.Repeat("nobody-", 10) + "x.invalid"
	for name, row := range map[string]struct{ url, part string }{
		"a port that nobody listens on": {"https://" + porttest.Free(t), "connection refused"},
		"a connection that is reset":    {reset, "connection reset"},
		"a name that does not exist":    {"https://" + nobody, "the name " + nobody + " cannot be resolved"},
		"a server without TLS":          {"https://" + plainServer(t), "HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := source.NewRemote(row.url, trust(t, ca), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, first := r.Fetch(context.Background(), "")
			_, second := r.Fetch(context.Background(), "")
			if first == nil || second == nil || first.Error() != second.Error() || !strings.Contains(first.Error(), row.part) {
				t.Errorf("got %v, then %v, want the same twice with %q in it", first, second, row.part)
			}
		})
	}
}

func plainServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(status(200))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestFetchEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := remote(t, s, s.URL, nil).Fetch(ctx, ""); err == nil {
		t.Error("got no error, want one")
	}
}

// One connection serves all requests, and Close ends it.
func TestTheConnectionIsKept(t *testing.T) {
	opened := make(chan net.Conn, 10)
	closed := make(chan net.Conn, 10)
	s := httptest.NewUnstartedServer(status(200))
	s.Config.ErrorLog = quiet()
	s.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened <- conn
		}
		if state == http.StateClosed {
			closed <- conn
		}
	}
	s.StartTLS()
	defer s.Close()
	r := remote(t, s, s.URL, nil)
	for range 5 {
		if _, err := r.Fetch(context.Background(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(opened); n != 1 {
		t.Errorf("got %d connections for five requests, want 1", n)
	}
	r.Close()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("got the connection kept, want it closed")
	}
}
