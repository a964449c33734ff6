package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHopByHopFieldsOfRequestsEndHere: what belongs to the client's connection is not the backend's business
// (RFC 9110 §7.6.1).
func TestHopByHopFieldsOfRequestsEndHere(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, lines, field, want string }{
		{"a named field goes", "Connection: X-Hop\nX-Hop: 1", "X-Hop", "[]"},
		{"a field named in lower case goes", "connection: x-hop\nX-Hop: 1", "X-Hop", "[]"},
		{"each field of a list goes", "Connection: close , X-One,x-hop\nX-One: 1\nX-Hop: 1", "X-Hop", "[]"},
		{"a field named in a second line goes", "Connection: keep-alive\nConnection: X-Hop\nX-Hop: 1", "X-Hop", "[]"},
		{"a field named behind an empty line goes", "Connection:\nConnection: X-Hop\nX-Hop: 1", "X-Hop", "[]"},
		{"all lines of a named field go", "Connection: X-Hop\nX-Hop: 1\nX-Hop: 2", "X-Hop", "[]"},
		{"Connection itself goes", "Connection: X-Hop", "Connection", "[]"},
		{"an empty Connection goes", "Connection:", "Connection", "[]"},
		{"a field that is not named stays", "Connection: X-Hop\nX-Stays: 1", "X-Stays", "[1]"},
		{"Keep-Alive goes", "Keep-Alive: timeout=5", "Keep-Alive", "[]"},
		{"Proxy-Connection goes", "Proxy-Connection: keep-alive", "Proxy-Connection", "[]"},
		{"Proxy-Authenticate goes", "Proxy-Authenticate: Basic", "Proxy-Authenticate", "[]"},
		{"Proxy-Authorization goes", "Proxy-Authorization: Basic eA==", "Proxy-Authorization", "[]"},
		{"an upgrade that Connection does not name goes", "Upgrade: websocket", "Upgrade", "[]"},
		{"the wish for trailers stays", "TE: trailers\nConnection: TE", "Te", "[trailers]"},
		{"of the wish for trailers and codings, trailers stay", "TE: gzip;q=0.5, trailers", "Te", "[trailers]"},
		{"the wish for codings goes", "TE: gzip", "Te", "[]"},
		{"a verdict named by the client is the gate's all the same", "Connection: X-Approov-Verdict, x-approov-reason", "X-Approov-Verdict", "[pass]"},
		{"the client's address is told although it is named", "Connection: X-Forwarded-For", "X-Forwarded-For", "[127.0.0.1]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := gate.get("/x", append(strings.Split(row.lines, "\n"), token)...); got.status != 200 {
				t.Fatalf("status: got %d, want 200", got.status)
			}
			if got := fmt.Sprint(upstream.last(t).Header[row.field]); got != row.want {
				t.Errorf("%s: got %s, want %s", row.field, got, row.want)
			}
		})
	}
}

// TestHopByHopFieldsOfResponsesEndHere is the same for the way back.
func TestHopByHopFieldsOfResponsesEndHere(t *testing.T) {
	gate := run(t, "http://"+bareUpstream(t, answering("HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nconnection: x-second\r\nX-Hop: 1\r\n"+
		"X-Second: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTe: x\r\n"+
		"X-Stays: 1\r\nX-Stays: 2\r\nContent-Length: 5\r\n\r\nhello")), map[string]any{})
	got := gate.get("/x", "Approov-Token: "+validToken(t, nil))
	if got.status != 200 || got.body != "hello" || fmt.Sprint(got.header["X-Stays"]) != "[1 2]" {
		t.Errorf("got %d %q and X-Stays %q, want 200 hello and both lines", got.status, got.body, got.header["X-Stays"])
	}
	for _, name := range []string{"X-Hop", "X-Second", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Upgrade", "Te", "Connection"} {
		if value, ok := got.header[name]; ok {
			t.Errorf("%s: got %q, want it gone", name, value)
		}
	}
}

// TestForwardedFieldsAreTheGates: nobody is trusted to say where a request came from.
func TestForwardedFieldsAreTheGates(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, line, field, want string }{
		{"without a field of the client", "X-Nothing: 1", "X-Forwarded-For", "[127.0.0.1]"},
		{"the client's addresses are not kept", "X-Forwarded-For: 192.0.2.1, 192.0.2.2", "X-Forwarded-For", "[127.0.0.1]"},
		{"an empty field is replaced", "X-Forwarded-For:", "X-Forwarded-For", "[127.0.0.1]"},
		{"the host is the request's", "X-Forwarded-Host: forged.example", "X-Forwarded-Host", "[api.example.com]"},
		{"the scheme is the connection's", "X-Forwarded-Proto: https", "X-Forwarded-Proto", "[http]"},
		{"Forwarded is replaced", "Forwarded: for=192.0.2.1;host=forged.example;proto=https", "Forwarded", `[for=127.0.0.1;host="api.example.com";proto=http]`},
		{"the port is the request's", "X-Forwarded-Port: 443", "X-Forwarded-Port", "[80]"},
		{"what else is said of proxies goes", "X-Forwarded-Prefix: /forged", "X-Forwarded-Prefix", "[]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate.get("/x", row.line, token)
			if got := fmt.Sprint(upstream.last(t).Header[row.field]); got != row.want {
				t.Errorf("%s: got %s, want %s", row.field, got, row.want)
			}
		})
	}
}

// TestQueryPassesByteForByte: the gate decides on the query as it came and the backend gets that, whatever one
// parser or another makes of it. Cleaning it, as a plain reverse proxy does, would show the backend other
// parameters than those a token was bound to.
func TestQueryPassesByteForByte(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, query := range []string{
		"?", "?a=1", "?a=1;b=2", "?a=1&a=2", "?a=%20+%2B", "?a=%zz&b=%", "?a=%u0041", "?&&=&", "?a=1?b=2", "?a/../b", "?a=//b", "?%61=1",
		"?a=\"<>`{|}\\^", "?a=é", "?" + strings.Repeat("a=1&", 2000),
	} {
		gate.get("/x"+query, token)
		if got := upstream.last(t).RequestURI; got != "/x"+query {
			t.Errorf("target: got %.60q, want %.60q", got, "/x"+query)
		}
	}
}

func TestUserAgentIsTheClients(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, line, want string }{
		{"none stays none", "X-Nothing: 1", "[]"},
		{"the client's is kept", "User-Agent: okhttp/4.12.0", "[okhttp/4.12.0]"},
		{"an empty one becomes none", "User-Agent:", "[]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate.get("/x", row.line, token)
			if got := fmt.Sprint(upstream.last(t).Header["User-Agent"]); got != row.want {
				t.Errorf("User-Agent: got %s, want %s", got, row.want)
			}
		})
	}
}

// TestRequestsKeepTheirFraming: no content stays none, and a known length stays known.
func TestRequestsKeepTheirFraming(t *testing.T) {
	var body string
	upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		body = fmt.Sprint(string(text), err)
	})
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct {
		name, method, line, content string
		length                      int64
		codings                     string
	}{
		{"GET without content", "GET", "X-Nothing: 1", "", 0, "[]"},
		{"GET with content", "GET", "Content-Length: 5", "hello", 5, "[]"},
		{"GET with chunked content", "GET", coded, "5\r\nhello\r\n0\r\n\r\n", -1, "[chunked]"},
		{"POST of nothing", "POST", "Content-Length: 0", "", 0, "[]"},
		{"POST without a length", "POST", "X-Nothing: 1", "", 0, "[]"},
		{"POST of known length", "POST", "Content-Length: 5", "hello", 5, "[]"},
		{"POST of unknown length", "POST", coded, "5\r\nhello\r\n0\r\n\r\n", -1, "[chunked]"},
		{"POST of chunks of nothing", "POST", coded, "0\r\n\r\n", -1, "[chunked]"},
		{"DELETE with content", "DELETE", "Content-Length: 5", "hello", 5, "[]"},
		{"HEAD", "HEAD", "X-Nothing: 1", "", 0, "[]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := gate.send(request(row.method, "/x", row.line, token) + row.content); got.status != 200 {
				t.Fatalf("status: got %d, want 200", got.status)
			}
			got := upstream.last(t)
			want := "<nil>"
			if strings.Contains(row.content, "hello") {
				want = "hello<nil>"
			}
			if got.ContentLength != row.length || fmt.Sprint(got.TransferEncoding) != row.codings || body != want {
				t.Errorf("got length %d, codings %s, body %q; want %d, %s, %q", got.ContentLength, got.TransferEncoding, body, row.length, row.codings, want)
			}
		})
	}
}
