package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestConnectionLimit(t *testing.T) {
	if got := connectionLimit(Limits{Connections: 7}); got != 7 {
		t.Errorf("as configured: got %d, want 7", got)
	}
	if got := connectionLimit(Limits{}); got < 8 || got > 10_000 {
		t.Errorf("from the descriptor limit: got %d, want 8 to 10000", got)
	}
}

func TestLimitsOfTheUpstreamSide(t *testing.T) {
	silent := bareUpstream(t, func(conn net.Conn, in *bufio.Reader) { readRequest(in); _, _ = in.ReadByte() }) // until the gate hangs up
	gate := run(t, "http://"+silent, map[string]any{}, limited(map[string]any{"response_timeout": brief.String()}))
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, request string }{
		{"a plain request", request("GET", "/x", token)},
		{"a chunked request", request("POST", "/x", token, "Transfer-Encoding: chunked") + "0\r\n\r\n"},
	} {
		t.Run(row.name+" to an upstream that says nothing", func(t *testing.T) {
			if got := gate.send(row.request); got.status != 504 || got.body != bodyTimeout {
				t.Errorf("got %d %q, want 504 %q", got.status, got.body, bodyTimeout)
			}
		})
	}
	if got := gate.metric(`approovgate_upstream_errors_total{kind="timeout"}`); got != "2" {
		t.Errorf("timeouts: got %s, want 2", got)
	}
}

func TestHeaderBytes(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{}, limited(map[string]any{"header_bytes": 8 << 10}))
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"a header within the bound", []string{token, "X-Long: " + strings.Repeat("x", 4<<10)}, 200},
		{"one long line", []string{token, "X-Long: " + strings.Repeat("x", 13<<10)}, 431},
		{"many short lines", append(strings.Split(strings.Repeat("X-A: 1|", 2000), "|")[:2000], token), 431},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := upstream.count()
			if got := gate.get("/x", row.lines...); got.status != row.status {
				t.Errorf("got %d, want %d", got.status, row.status)
			}
			if want := row.status == 200; (upstream.count() > before) != want {
				t.Errorf("forwarded: got %v, want %v", !want, want)
			}
		})
	}
}

// TestStreams asks for more streams than a connection may have: the client of net/http then opens another or
// waits, and none of them is lost.
func TestStreams(t *testing.T) {
	upstream := newSlowUpstream(t)
	gate := run(t, upstream.URL, map[string]any{}, withH2C, limited(map[string]any{"streams": 2}))
	client := overHTTP2(t)
	results := make(chan error, 3)
	for range cap(results) {
		token := validToken(t, nil)
		go func() { // ends with its answer
			q, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+gate.address+"/x", nil)
			if err != nil {
				results <- err
				return
			}
			q.Header.Set("Approov-Token", token)
			response, err := client.Do(q)
			if err == nil {
				response.Body.Close()
				if response.StatusCode != 200 {
					err = fmt.Errorf("status %d", response.StatusCode)
				}
			}
			results <- err
		}()
	}
	<-upstream.arrived
	<-upstream.arrived
	upstream.release()
	for range cap(results) {
		select {
		case err := <-results:
			if err != nil {
				t.Errorf("got %v, want an answer", err)
			}
		case <-time.After(patience):
			t.Fatal("got no answer, want one")
		}
	}
}
