package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/host"
	"github.com/approovgate/approovgate/internal/logline"
	"github.com/approovgate/approovgate/internal/porttest"
)

func TestRefusals(t *testing.T) {
	upstream := newUpstream(t, nil)
	for _, row := range []struct {
		name, mode, request string
		status              int
	}{
		{"CONNECT is refused", "enforce", request("CONNECT", "api.example.com:443"), 405},
		{"CONNECT is refused in log mode", "log", request("CONNECT", "api.example.com:443"), 405},
		{"CONNECT is refused in bypass mode", "bypass", request("CONNECT", "api.example.com:443"), 405},
		{"OPTIONS * is refused", "enforce", request("OPTIONS", "*"), 400},
		{"OPTIONS * is refused in log mode", "log", request("OPTIONS", "*"), 400},
		{"OPTIONS * is refused in bypass mode", "bypass", request("OPTIONS", "*"), 405},
		{"a request without a token is refused", "enforce", request("GET", "/x"), 401},
		{"a request whose headers exceed the bound is refused", "bypass", request("GET", "/x", "X-Long: "+strings.Repeat("x", 2*32<<10)), 431},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate := run(t, upstream.URL, map[string]any{"mode": row.mode})
			got := gate.send(row.request)
			if got.status != row.status {
				t.Errorf("status: got %d, want %d", got.status, row.status)
			}
			if upstream.count() != 0 {
				t.Errorf("upstream: got %d requests, want none", upstream.count())
			}
		})
	}
}

func TestUpstreamFailures(t *testing.T) {
	for _, row := range []struct{ name, upstream, logged string }{
		{"an upstream that is down", porttest.Free(t), "connection refused"},
		{"an upstream that hangs up", rawUpstream(t, func(net.Conn, string) {}), "closed the connection before it answered"},
		{"an upstream that speaks no HTTP", rawUpstream(t, func(c net.Conn, _ string) { fmt.Fprint(c, "SSH-2.0\r\n\r\n") }), "not valid HTTP"},
		{"an upstream that echoes the request", rawUpstream(t, func(c net.Conn, got string) { fmt.Fprint(c, got) }), "not valid HTTP"},
		{"a switch of protocols nobody asked for", rawUpstream(t, func(c net.Conn, _ string) {
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		}), "not valid HTTP"},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate := run(t, "http://"+row.upstream, map[string]any{})
			got := gate.get("/x", "Approov-Token: "+validToken(t, nil))
			if got.status != 502 || got.body != bodyBadGateway || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %q, want 502 %q, never stored", got.status, got.body, bodyBadGateway)
			}
			if lines := gate.log.lines("upstream failed"); len(lines) != 1 || !strings.Contains(lines[0], row.logged) {
				t.Errorf("log: got %q, want one line with %q", lines, row.logged)
			}
		})
	}
}

// rawUpstream is a backend below HTTP: it reads one request's head and answers what serve writes.
func rawUpstream(t *testing.T, serve func(conn net.Conn, got string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends when the listener is closed
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			var head strings.Builder
			for line := ""; line != "\r\n" && err == nil; {
				line, err = reader.ReadString('\n')
				head.WriteString(line)
			}
			serve(conn, head.String())
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

func TestUpstreamTimeoutIs504(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
	}{
		{"a dial that takes too long", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}},
		{"headers that take too long", &url.Error{Op: "Get", URL: "x", Err: context.DeadlineExceeded}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			upstreamFailed(&requestLog{host.DecisionLog{Logger: slog.New(slog.DiscardHandler), Sampler: logline.NewSampler(0)}, false})(w, httptest.NewRequest("GET", "/", nil), row.err)
			if w.Code != 504 || w.Body.String() != bodyTimeout {
				t.Errorf("got %d %q, want 504 %q", w.Code, w.Body, bodyTimeout)
			}
		})
	}
}

func TestClientThatHangsUpIsNoFault(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done() // the gate passes the hang-up on
		close(gone)
	})
	gate := run(t, upstream.URL, map[string]any{})
	conn := gate.dial()
	fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
	<-arrived
	conn.Close()
	<-gone
	gate.log.wait(t, "client went away", 1)
	if got := gate.log.lines(`"level":"ERROR"`); got != nil {
		t.Errorf("log: got %q, want no error", got)
	}
}

func TestPanicIsAnsweredAndNotForwarded(t *testing.T) {
	upstream := newUpstream(t, nil)
	book := newLogBook()
	p := &Proxy{Log: NewLogger(book, Log{}), Tree: map[string]any{"listen": "127.0.0.1:0", "upstream": upstream.URL, "policy": map[string]any{"keys": keysOfTest()}}}
	if problems := p.Load(); config.Failed(problems) {
		t.Fatal(problems)
	}
	h := p.handler()
	h.gate = nil // so that asking it panics
	server := httptest.NewServer(h)
	defer server.Close()
	for range 2 { // the second request shows that the process lives
		response, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 500 || string(body) != bodyInternal {
			t.Errorf("got %d %q, %v, want 500 %q", response.StatusCode, body, err, bodyInternal)
		}
		response.Body.Close()
	}
	if upstream.count() != 0 {
		t.Errorf("upstream: got %d requests, want none", upstream.count())
	}
	if got := book.lines("it was not forwarded"); len(got) != 2 || !strings.Contains(got[0], "nil pointer") || !strings.Contains(got[0], "stack") {
		t.Errorf("log: got %q, want two lines with cause and stack", got)
	}
}

func TestFailingRequestsAreLogged(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{"routes": []any{
		map[string]any{"name": "beta", "paths": []any{"/beta/**"}, "mode": "log"},
		map[string]any{"name": "bound", "paths": []any{"/bound"}, "binding": map[string]any{"from": []any{"header:Authorization"}, "missing_pay": "accept"}},
	}})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct {
		name, target string
		lines        []string
		want         map[string]any
	}{
		{"a rejected request", "/x?secret=1", nil, map[string]any{"level": "INFO", "msg": "request rejected", "verdict": "fail",
			"reason": "token_missing", "action": "reject", "mode": "enforce", "status": 401.0, "method": "GET", "path": "/x"}},
		{"a request that fails in log mode", "/beta/x", nil, map[string]any{"level": "INFO", "msg": "request would be rejected",
			"verdict": "fail", "reason": "token_missing", "action": "forward", "mode": "log", "route": "beta"}},
		{"a request accepted without binding", "/bound", []string{token, "Authorization: Bearer x"}, map[string]any{"level": "INFO",
			"msg": "request accepted without binding", "verdict": "pass", "route": "bound"}},
		{"a passing request, at debug level", "/x", []string{token}, map[string]any{"level": "DEBUG", "msg": "request forwarded", "verdict": "pass", "key": "account"}},
		{"a path that would forge a line", "/a%0a%7b%22msg%22:1%7d%1b[31m\"\\", nil, map[string]any{"msg": "request rejected", "reason": "target_refused"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := len(gate.log.lines(""))
			gate.get(row.target, row.lines...)
			lines := gate.log.lines("")[before:]
			if len(lines) != 1 {
				t.Fatalf("got %d lines %q, want 1", len(lines), lines)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
				t.Fatalf("line %q: %v", lines[0], err)
			}
			for field, want := range row.want {
				if got[field] != want {
					t.Errorf("%s: got %v, want %v", field, got[field], want)
				}
			}
		})
	}
}
