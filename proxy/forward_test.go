package proxy

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestForwardsTheRequestAsItWasChecked(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, target, want string }{
		{"a plain path stays", "/v1/shapes", "/v1/shapes"},
		{"the query stays byte for byte, unparsable or not", "/v1/shapes?a=1;b=%zz&&c==&d=%2F+%20é", "/v1/shapes?a=1;b=%zz&&c==&d=%2F+%20é"},
		{"an empty query stays", "/v1/shapes?", "/v1/shapes?"},
		{"escapes of reserved characters stay", "/v1/a%3Fb%25", "/v1/a%3Fb%25"},
		{"dot segments and doubled slashes are resolved", "//v1/x/../shapes/./y", "/v1/shapes/y"},
		{"escapes of unreserved characters are decoded", "/v1/%73hapes/%7e", "/v1/shapes/~"},
		{"a trailing slash stays", "/v1/shapes/", "/v1/shapes/"},
		{"an absolute target becomes a path", "http://api.example.com/v1/shapes?x", "/v1/shapes?x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := gate.get(row.target, token); got.status != 200 || got.body != "hello" {
				t.Fatalf("answer: got %d %q, want 200 hello", got.status, got.body)
			}
			got := upstream.last(t)
			if got.RequestURI != row.want {
				t.Errorf("target: got %q, want %q", got.RequestURI, row.want)
			}
			if got.Host != "api.example.com" {
				t.Errorf("host: got %q, want the client's", got.Host)
			}
		})
	}
}

func TestForwardsBodyMethodAndHeaders(t *testing.T) {
	var body string
	upstream := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body) // a short read shows in the comparison
		body = string(text)
	})
	gate := run(t, upstream.URL, map[string]any{})
	gate.send("PATCH /x HTTP/1.1\r\nHost: api.example.com\r\nApproov-Token: " + validToken(t, nil) +
		"\r\nAuthorization: Bearer x\r\nTransfer-Encoding: chunked\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n")
	got := upstream.last(t)
	if got.Method != "PATCH" || body != "abcdefg" {
		t.Errorf("request: got %s %q, want PATCH abcdefg", got.Method, body)
	}
	if got := got.Header["X-Two"]; fmt.Sprint(got) != "[1 2]" {
		t.Errorf("X-Two: got %q, want both lines", got)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer x", "X-Approov-Verdict": "pass", "X-Approov-Reason": "ok", "X-Approov-Device": "dGVzdCBkZXZpY2UgaWQhIQ==",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "api.example.com", "X-Forwarded-Proto": "http",
		"Approov-Token": "", "User-Agent": "", "Accept-Encoding": "",
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestClientsCannotSpeakForTheGate(t *testing.T) {
	upstream := newUpstream(t, nil)
	forged := []string{
		"X-Approov-Verdict: forged", "x-approov-verdict: forged", "X_Approov_Verdict: forged", "X-Approov.Reason: forged",
		"X-Approov-Device: forged", "Approov_Token: forged", "Forwarded: for=forged", "X-Forwarded-For: forged",
		"X_Forwarded_For: forged", "X.Forwarded-Host: forged", "X-Forwarded-Port: forged", "X-Forwarded-Prefix: forged",
		"X-Forwarded-Uri: forged", "X-Forwarded: forged", "HTTP2-Settings: forged",
	}
	for _, row := range []struct {
		mode   string
		status int
	}{{"log", 200}, {"bypass", 200}, {"enforce", 401}} {
		gate := run(t, upstream.URL, map[string]any{"mode": row.mode, "routes": []any{map[string]any{"name": "open", "paths": []any{"/open"}, "check": "none"}}})
		token := "Approov-Token: " + validToken(t, nil)
		for _, c := range []struct {
			name, method, target string
			more                 []string
			status               int
		}{
			{"a passing request", "GET", "/x", []string{token}, 200},
			{"a failing request", "GET", "/x", nil, row.status},
			{"an exempt route", "GET", "/open", nil, 200},
			{"a preflight", "OPTIONS", "/x", []string{"Origin: https://app.example", "Access-Control-Request-Method: GET"}, 200},
		} {
			t.Run(c.name+" in mode "+row.mode, func(t *testing.T) {
				if got := gate.send(request(c.method, c.target, append(forged, c.more...)...)); got.status != c.status {
					t.Fatalf("status: got %d, want %d", got.status, c.status)
				}
				if c.status != 200 {
					return
				}
				for name, values := range upstream.last(t).Header {
					if strings.Contains(strings.Join(values, " "), "forged") {
						t.Errorf("%s: got %q, want the client's copy gone", name, values)
					}
				}
			})
		}
	}
}

func TestConnectionHeaderRemovesNothingOfOurs(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	for _, row := range []struct {
		name  string
		lines []string
		gone  string
	}{
		{"the token is named", []string{"Connection: Approov-Token"}, ""},
		{"the verdict is named in lower case", []string{"Connection: close, x-approov-verdict,x-approov-reason"}, ""},
		{"the verdict is named after an empty first line", []string{"Connection:", "Connection: X-Approov-Verdict"}, ""},
		{"forwarding headers are named", []string{"Connection: x-forwarded-for, X-Forwarded-Proto"}, ""},
		{"another header is named and ends here", []string{"Connection: x-hop", "X-Hop: 1"}, "X-Hop"},
		{"keep-alive ends here", []string{"Connection: keep-alive", "Keep-Alive: timeout=5"}, "Keep-Alive"},
		{"proxy headers end here", []string{"Proxy-Connection: x", "Proxy-Authorization: Basic eA=="}, "Proxy-Authorization"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := gate.get("/x", append(row.lines, "Approov-Token: "+validToken(t, nil))...)
			if got.status != 200 {
				t.Fatalf("status: got %d, want 200", got.status)
			}
			header := upstream.last(t).Header
			for name, want := range map[string]string{"X-Approov-Verdict": "pass", "X-Approov-Reason": "ok", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", row.gone: ""} {
				if got := header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestUpgrades(t *testing.T) {
	upstream := newUpstream(t, nil)
	gate := run(t, upstream.URL, map[string]any{})
	token := "Approov-Token: " + validToken(t, nil)
	for _, row := range []struct{ name, upgrade, want string }{
		{"h2c goes on as HTTP/1.1", "h2c", ""},
		{"h2c in other case goes on as HTTP/1.1", "H2C", ""},
		{"a list of protocols goes on as HTTP/1.1", "websocket, h2c", ""},
		{"an upgrade that is not ASCII goes on as HTTP/1.1", "websöcket", ""},
		{"a WebSocket upgrade reaches the upstream", "websocket", "websocket"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := gate.get("/x", token, "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+row.upgrade, "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
			if got.status != 200 {
				t.Fatalf("status: got %d, want 200", got.status)
			}
			header := upstream.last(t).Header
			if got := header.Get("Upgrade"); got != row.want {
				t.Errorf("Upgrade: got %q, want %q", got, row.want)
			}
			if got := header.Get("HTTP2-Settings"); got != "" {
				t.Errorf("HTTP2-Settings: got %q, want none", got)
			}
		})
	}
	t.Run("an upgrade without a token is refused", func(t *testing.T) {
		before := upstream.count()
		if got := gate.get("/x", "Connection: Upgrade", "Upgrade: websocket"); got.status != 401 || upstream.count() != before {
			t.Errorf("got %d and %d requests, want 401 and none", got.status, upstream.count()-before)
		}
	})
}

func TestUpgradedConnectionCarriesBytesBothWays(t *testing.T) {
	upstream := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := both.ReadString('\n') // a failure shows as a missing echo
		_, _ = io.WriteString(conn, "echo "+line)
	})
	gate := run(t, upstream.URL, map[string]any{})
	conn := gate.dial()
	defer conn.Close()
	fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil), "Connection: Upgrade", "Upgrade: echo"))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("got %v, %v, want 101", response, err)
	}
	fmt.Fprint(conn, "ping\n")
	if got, err := reader.ReadString('\n'); err != nil || got != "echo ping\n" {
		t.Errorf("got %q, %v, want the echo", got, err)
	}
}

func TestResponsesStream(t *testing.T) {
	for _, row := range []struct{ name, length string }{{"a chunked response", ""}, {"a response of known length", "10"}} {
		t.Run(row.name, func(t *testing.T) {
			arrived := make(chan struct{})
			release := sync.OnceFunc(func() { close(arrived) })
			defer release()
			upstream := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				if row.length != "" {
					w.Header().Set("Content-Length", row.length)
				}
				_, _ = io.WriteString(w, "first")
				_ = http.NewResponseController(w).Flush()
				<-arrived
				_, _ = io.WriteString(w, "later")
			})
			gate := run(t, upstream.URL, map[string]any{})
			conn := gate.dial()
			defer conn.Close()
			fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			first := make([]byte, 5)
			_, err = io.ReadFull(response.Body, first)
			release()
			if err != nil || string(first) != "first" {
				t.Fatalf("first part: got %q, %v, want it before the rest is written", first, err)
			}
			if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "later" {
				t.Errorf("rest: got %q, %v, want later", rest, err)
			}
		})
	}
}

func TestResponsesPassUnchanged(t *testing.T) {
	upstream := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Trailer", "X-Sum")
		h.Set("Content-Encoding", "br")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Location", "http://backend.internal/x")
		w.WriteHeader(418)
		_, _ = io.WriteString(w, "short and stout")
		h.Set("X-Sum", "15")
	})
	gate := run(t, upstream.URL, map[string]any{})
	conn := gate.dial()
	defer conn.Close()
	fmt.Fprint(conn, request("GET", "/x", "Approov-Token: "+validToken(t, nil)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 418 || string(body) != "short and stout" {
		t.Errorf("got %d %q, %v, want 418 short and stout", response.StatusCode, body, err)
	}
	if got := response.Trailer.Get("X-Sum"); got != "15" {
		t.Errorf("trailer: got %q, want 15", got)
	}
	for name, want := range map[string]string{"Set-Cookie": "[a=1 b=2]", "Content-Encoding": "[br]", "Location": "[http://backend.internal/x]", "X-Hop": "[]"} {
		if got := fmt.Sprint(response.Header[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestHTTPSUpstream(t *testing.T) {
	upstream := newUpstream(t, nil)
	upstream.Close()
	secure := newTLSUpstream(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("a verified upstream is spoken to in HTTP/2", func(t *testing.T) {
		gate := run(t, secure.URL, map[string]any{}, func(p *Proxy) { p.Tree["upstream_tls"] = map[string]any{"ca": ca} })
		got := gate.get("/x?y=%zz", "Approov-Token: "+validToken(t, nil))
		if want := "HTTP/2.0 api.example.com /x?y=%zz pass"; got.status != 200 || got.body != want {
			t.Errorf("got %d %q, want 200 %q", got.status, got.body, want)
		}
	})
	t.Run("an upstream that cannot be verified gets nothing", func(t *testing.T) {
		gate := run(t, secure.URL, map[string]any{})
		if got := gate.get("/x", "Approov-Token: "+validToken(t, nil)); got.status != 502 || got.body != bodyBadGateway {
			t.Errorf("got %d %q, want 502 %q", got.status, got.body, bodyBadGateway)
		}
		if got := gate.log.lines("unknown authority"); len(got) != 1 {
			t.Errorf("log: got %d lines on the certificate, want 1", len(got))
		}
	})
}
