package proxy

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestInterimResponses: hints such as 103 (RFC 8297) are passed on as they come, each with its own fields, and
// what they say does not stay in the final response.
func TestInterimResponses(t *testing.T) {
	next := make(chan struct{}, 1)
	upstream := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		if !readRequest(in) {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\nLink: <b>\r\n\r\n")
		<-next
		fmt.Fprint(conn, "HTTP/1.1 103 Early Hints\r\nLink: <c>\r\n\r\n")
		<-next
		fmt.Fprint(conn, "HTTP/1.1 102 Processing\r\n\r\n")
		<-next
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nLink: <d>\r\nContent-Length: 5\r\n\r\nhello")
	})
	e := run(t, "http://"+upstream, map[string]any{}).open(request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
	for _, want := range []string{"103 [<a> <b>]", "103 [<c>]", "102 []", "200 [<d>]"} {
		response := e.head(t, "GET")
		if got := fmt.Sprint(response.StatusCode, " ", response.Header["Link"]); got != want {
			t.Errorf("response: got %s, want %s", got, want)
		}
		next <- struct{}{}
	}
}

// TestHTTP10GetsNoInterimResponses: such a client would take one for the final response (RFC 9110 §15.2).
func TestHTTP10GetsNoInterimResponses(t *testing.T) {
	upstream := bareUpstream(t, answering("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	e := run(t, "http://"+upstream, map[string]any{}).open("GET /x HTTP/1.0\r\nHost: api.example.com\r\nApproov-Token: " + validToken(t, nil) + "\r\n\r\n")
	if got := e.head(t, "GET").StatusCode; got != 200 {
		t.Errorf("status: got %d, want 200", got)
	}
}

// TestExpectContinue: a client that waits for a 100 before it sends its body gets one, or the final answer.
func TestExpectContinue(t *testing.T) {
	const expects = "Expect: 100-continue"
	ask := func(t *testing.T, upstream string) *talk {
		return run(t, "http://"+upstream, map[string]any{}).open(request("POST", "/x", expects, "Content-Length: 5", "Approov-Token: "+validToken(t, nil)))
	}
	t.Run("the backend wants the body", func(t *testing.T) {
		upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body) // a failure shows at the client
		})
		e := ask(t, upstream.Listener.Addr().String())
		if got := e.head(t, "POST").StatusCode; got != 100 {
			t.Fatalf("status: got %d, want 100", got)
		}
		fmt.Fprint(e, "hello")
		response := e.head(t, "POST")
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "hello" {
			t.Errorf("got %d %q, %v, want 200 hello", response.StatusCode, body, err)
		}
	})
	t.Run("the backend declines before the body", func(t *testing.T) {
		e := ask(t, bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
			if _, err := http.ReadRequest(in); err == nil {
				fmt.Fprint(conn, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
		}))
		if got := e.head(t, "POST").StatusCode; got != 417 {
			t.Errorf("status: got %d, want 417, and no 100 before it", got)
		}
	})
	t.Run("there is no backend", func(t *testing.T) {
		e := ask(t, "127.0.0.1:1") // a port that the system gives to nobody
		if got := e.head(t, "POST").StatusCode; got != 502 {
			t.Errorf("status: got %d, want 502 without a wait for the body", got)
		}
	})
	t.Run("the gate refuses before the body", func(t *testing.T) {
		upstream := newUpstream(t, nil)
		e := run(t, upstream.URL, map[string]any{}).open(request("POST", "/x", expects, "Content-Length: 5"))
		if got := e.head(t, "POST").StatusCode; got != 401 || upstream.count() != 0 {
			t.Errorf("got %d and %d requests at the backend, want 401 and none", got, upstream.count())
		}
	})
}

// TestHangUpsArePassedOn: neither side works on for one that has gone.
func TestHangUpsArePassedOn(t *testing.T) {
	t.Run("a client that goes away in the response", func(t *testing.T) {
		ended := make(chan error, 1)
		upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "hello")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			ended <- r.Context().Err()
		})
		e := run(t, upstream.URL, map[string]any{}).open(request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
		e.head(t, "GET")
		e.Close()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("backend: got no hang-up, want one")
		}
	})
	t.Run("a client that goes away in its body", func(t *testing.T) {
		began, ended := make(chan struct{}), make(chan error, 1)
		upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		})
		e := run(t, upstream.URL, map[string]any{}).open(request("POST", "/x", coded, "Approov-Token: "+validToken(t, nil)) + chunk("hello"))
		<-began
		e.Close()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("backend: got a whole body, want an error")
			}
		case <-time.After(patience):
			t.Error("backend: got no hang-up, want one")
		}
	})
}

// TestAnswersDoNotWaitForABodyForever: a little content is read before the backend is asked, and net/http reads some
// before it answers. A client that never sends it gets an answer all the same when its pause is too long, and
// gives its connection back.
func TestAnswersDoNotWaitForABodyForever(t *testing.T) {
	const down = "127.0.0.1:1" // a port that the system gives to nobody
	hangsUp := bareUpstream(t, func(_ net.Conn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in) // its head is enough
	})
	answersEarly := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			fmt.Fprint(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, in) // so that the answer is not reset
		}
	})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct {
		name, upstream, token, statuses string
	}{
		{"a request that the gate refuses", down, "X-Nothing: 1", "401"},
		{"a request to a backend that is down", down, token, "502 408"},
		{"a request to a backend that goes away", hangsUp, token, "502 408"},
		{"a request to a backend that answers before the body", answersEarly, token, "413 408"},
	} {
		for _, framing := range []string{"Content-Length: 100", "Content-Length: 100000", coded} {
			t.Run(row.name+", "+framing, func(t *testing.T) {
				gate := run(t, "http://"+row.upstream, map[string]any{}, limited(map[string]any{"body_timeout": "200ms"}))
				e := gate.open(request("POST", "/x", framing, row.token))
				if got := strconv.Itoa(e.head(t, "POST").StatusCode); !strings.Contains(row.statuses, got) {
					t.Errorf("status: got %s, want %s", got, row.statuses)
				}
				if _, err := io.Copy(io.Discard, e.in); err != nil {
					t.Errorf("connection: got %v, want its end", err)
				}
			})
		}
	}
}

// limited is a change to a proxy's limits.
func limited(limits map[string]any) func(*Proxy) {
	return func(p *Proxy) { maps.Copy(p.Tree["limits"].(map[string]any), limits) }
}

// TestClientFaultsAreNotTheUpstreams: a request whose body is malformed is the client's fault. It gets a 400, and
// no error line sends an operator to the backend.
func TestClientFaultsAreNotTheUpstreams(t *testing.T) {
	upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it breaks off
	})
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, text string }{
		{"a chunk's size that is none", request("POST", "/x", coded, token) + "zz\r\n"},
		{"a chunk longer than its size", request("POST", "/x", coded, token) + "1\r\nxyz\r\n0\r\n\r\n"},
		{"a chunk's line that ends in LF", request("POST", "/x", coded, token) + "1\nx\r\n0\r\n\r\n"},
		{"a trailer that is none", request("POST", "/x", coded, token) + "0\r\nnothing\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := gate.send(row.text); got.status != 400 {
				t.Errorf("status: got %d, want 400", got.status)
			}
		})
	}
	if got := gate.log.lines(`"level":"ERROR"`); len(got) > 0 {
		t.Errorf("log: got %d errors, first %q, want none", len(got), got[0])
	}
}
