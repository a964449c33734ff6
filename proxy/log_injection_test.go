package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/approovgate/approovgate/mint"
)

// evil would forge a line, or steer a terminal, if it came through unescaped: line ends of several kinds, escape
// sequences with ESC and with the C1 control, quotes, NUL, a change of writing direction, and no UTF-8.
const evil = "\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\n\x00\x1b[31m\u009b31m\u2028\u2029\u0085\u202e\"'\\\t\x7f\xff\xc3"

// formats are the two that a gate can log in.
var formats = []string{"json", "text"}

// told runs a gate that logs all it can in a format, and returns it with its log.
func told(t *testing.T, upstream, format string, policy map[string]any) *rig {
	t.Helper()
	var book *logBook
	gate := run(t, upstream, policy, func(p *Proxy) {
		p.Tree["log"] = map[string]any{"level": "debug", "format": format, "access": true, "sample": 0}
		book = newLogBook()
		c, _ := DecodeConfig(p.Tree) // what is wrong shows when it is loaded
		p.Log = NewLogger(book, c.Log)
	})
	gate.log = book
	return gate
}

// TestRequestsCannotForgeLogLines sends requests that carry evil wherever a client can put it. Each may make as many
// lines as it would without, and none of them may hold a control character.
func TestRequestsCannotForgeLogLines(t *testing.T) {
	silenceTransport(t)
	escaped := url.PathEscape(evil)
	raw := strings.NewReplacer("\r", "", "\n", "", "\x00", "", "\x1b", "", "\x7f", "", "\t", "", " ", "").Replace(evil) // what net/http lets by
	token := "Approov-Token: " + validToken(t, nil)
	claims := validToken(t, map[string]any{"iss": evil, "did": evil, "arc": evil, "anno": []any{evil}, "ip": evil})
	rows := []struct{ name, text string }{
		{"an escaped path", request("GET", "/"+escaped, token)},
		{"a raw path", request("GET", "/"+raw, token)},
		{"a raw path without a token", request("GET", "/"+raw)},
		{"a path with raw control characters", request("GET", "/"+evil, token)},
		{"an absolute target", request("GET", "http://"+raw+"/x", token)},
		{"a target that is a user", request("GET", "http://a:"+escaped+"@b/x", token)},
		{"an asterisk", request("GET", "*"+raw, token)},
		{"a query", request("GET", "/x?"+escaped+raw, token)},
		{"a fragment", request("GET", "/x#"+raw, token)},
		{"a host", "GET /x HTTP/1.1\r\nHost: " + raw + "\r\n" + token + "\r\n\r\n"},
		{"an escaped host", "GET /x HTTP/1.1\r\nHost: " + escaped + "\r\n" + token + "\r\n\r\n"},
		{"a method", request(raw, "/x", token)},
		{"a long method", request(strings.Repeat("M", 4000), "/x", token)},
		{"a token", request("GET", "/x", "Approov-Token: "+raw)},
		{"an escaped token", request("GET", "/x", "Approov-Token: "+escaped)},
		{"a request id", request("GET", "/x", token, "X-Request-Id: "+raw)},
		{"addresses", request("GET", "/x", token, "X-Forwarded-For: "+raw, "Forwarded: for="+raw)},
		{"a user agent", request("GET", "/x", token, "User-Agent: "+raw)},
		{"an upgrade", request("GET", "/x", token, "Connection: Upgrade", "Upgrade: "+raw)},
		{"a bound header", request("GET", "/bound", token, "Authorization: "+raw)},
		{"claims", request("GET", "/x", "Approov-Token: "+claims)},
		{"claims that a route denies", request("GET", "/denied", "Approov-Token: "+claims)},
		{"a trailer", request("POST", "/x", token, coded) + "0\r\nX: " + raw + "\r\n\r\n"},
		{"a chunk's size", request("POST", "/x", token, coded) + raw + "\r\n"},
		{"a field without a name", request("GET", "/x", token, ": "+raw)},
	}
	upstreams := map[string]string{
		"good": newUpstream(t, nil).URL,
		"down": "http://127.0.0.1:1",
		"hostile": "http://" + bareUpstream(t, func(conn net.Conn, _ *bufio.Reader) {
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\n%s: %s\r\n\r\n", evil, evil, evil)
		}),
	}
	for name, upstream := range upstreams {
		for _, format := range formats {
			t.Run(name+" backend, "+format, func(t *testing.T) {
				gate := told(t, upstream, format, map[string]any{"privacy": map[string]any{"device_id": "raw", "ip": "raw"}, "routes": []any{
					map[string]any{"name": "bound", "paths": []any{"/bound"}, "binding": map[string]any{"from": []any{"header:Authorization"}}},
					map[string]any{"name": "denied", "paths": []any{"/denied"}, "audience": "other"},
				}})
				for _, row := range rows {
					gate.send(row.text)
				}
				if err := gate.stop(); err != nil {
					t.Fatal(err)
				}
				lines := gate.log.lines("")
				if len(lines) < len(rows) || len(lines) > 4*len(rows)+10 {
					t.Errorf("log: got %d lines for %d requests, want some for each and no more", len(lines), len(rows))
				}
				for _, line := range lines {
					checkLogLine(t, format, line)
				}
			})
		}
	}
}

// textLine is a line of slog's text format.
var textLine = regexp.MustCompile(`^time=\S+ level=(DEBUG|INFO|WARN|ERROR) msg=("[^"]+"|\S+)( [a-z0-9_.]+=("(\\.|[^"\\])*"|[^\s"=]*))*$`)

// checkLogLine holds one line to its format and to printable characters.
func checkLogLine(t *testing.T, format, line string) {
	t.Helper()
	text := strings.TrimSuffix(line, "\n")
	if !utf8.ValidString(text) {
		t.Errorf("line %q: got no UTF-8, want UTF-8", text)
	}
	for _, c := range text {
		if !unicode.IsPrint(c) {
			t.Errorf("line %+q: got %+q, want it escaped", text, c)
			break
		}
	}
	if format == "text" {
		if !textLine.MatchString(text) || strings.HasPrefix(text, "{") {
			t.Errorf("line %+q: got another form, want key=value", text)
		}
		return
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil || fields["msg"] == nil || fields["msg"] == "forged" {
		t.Errorf("line %+q: got %v, %v, want one of the gate's own", text, fields["msg"], err)
	}
}

// TestNothingSecretIsToldInAnyFormat is TestNothingSecretIsTold for both formats and the access log.
func TestNothingSecretIsToldInAnyFormat(t *testing.T) {
	good := validToken(t, map[string]any{"did": "not so secret"})
	bound := validToken(t, map[string]any{"pay": "bm90IHRoZSByaWdodCBoYXNo"})
	tokens := []string{good, bound, good + "AA", "Bearer " + good, good[:len(good)/2]}
	upstreams := map[string]string{
		"good": newUpstream(t, nil).URL,
		"down": "http://127.0.0.1:1",
		"echoing": "http://" + bareUpstream(t, func(conn net.Conn, in *bufio.Reader) {
			_, _ = in.Peek(1) // waits for the request
			head, _ := in.Peek(in.Buffered())
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %q\r\n\r\n", head)
		}),
	}
	for name, upstream := range upstreams {
		for _, format := range formats {
			t.Run(name+" backend, "+format, func(t *testing.T) {
				policy := leakPolicy("log")
				delete(policy, "respond")
				gate := told(t, upstream, format, policy)
				var all strings.Builder
				for _, token := range tokens {
					for _, target := range []string{"/header", "/cookie", "/query?key=" + url.QueryEscape(boundValue), "/x", "/%2f?t=" + token, "*", "/x#" + boundValue} {
						got := gate.get(target, "Approov-Token: "+token, "Authorization: "+boundValue, "Cookie: session="+boundValue)
						fmt.Fprintln(&all, got.header, got.body)
						got = gate.send(request("POST", target, "Approov-Token: "+token, "Authorization: "+boundValue, "Cookie: session="+boundValue, coded) + "zz " + token + "\r\n")
						fmt.Fprintln(&all, got.header, got.body)
					}
				}
				metrics := gate.probe("GET", "/metrics").body
				if err := gate.stop(); err != nil {
					t.Fatal(err)
				}
				all.WriteString(gate.log.String() + metrics)
				for what, secret := range secretsOfTest(tokens) {
					if at := strings.Index(all.String(), secret); at >= 0 {
						t.Errorf("%s: got it told in …%q…, want it nowhere", what, all.String()[max(0, at-80):min(all.Len(), at+40)])
					}
				}
			})
		}
	}
}

// TestRejectionsAreAlike: whoever is refused learns nothing about why.
func TestRejectionsAreAlike(t *testing.T) {
	foreign, err := mint.Sign("HS256", "", nextSecret, map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	signed := func(claims map[string]any) string { return "Approov-Token: " + validToken(t, claims) }
	good := signed(nil)
	gate := run(t, newUpstream(t, nil).URL, map[string]any{"routes": []any{
		map[string]any{"name": "bound", "paths": []any{"/bound"}, "binding": map[string]any{"from": []any{"header:Authorization"}}},
	}})
	var first string
	for _, row := range []struct{ reason, target, lines string }{
		{"token_missing", "/x", "X-Nothing: 1"},
		{"token_repeated", "/x", good + "\r\n" + good},
		{"token_empty", "/x", "Approov-Token:"},
		{"token_too_large", "/x", "Approov-Token: " + strings.Repeat("x", 9000)},
		{"token_status", "/x", "Approov-Token: NO_NETWORK"},
		{"token_malformed", "/x", "Approov-Token: a.b.c"},
		{"signature_invalid", "/x", "Approov-Token: " + foreign},
		{"claim_invalid", "/x", signed(map[string]any{"exp": "soon"})},
		{"token_expired", "/x", signed(map[string]any{"exp": 1})},
		{"token_not_yet_valid", "/x", signed(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})},
		{"pay_missing", "/bound", good + "\r\nAuthorization: x"},
		{"binding_missing", "/bound", signed(map[string]any{"pay": "bm90IHRoZSByaWdodCBoYXNo"})},
		{"binding_mismatch", "/bound", signed(map[string]any{"pay": "bm90IHRoZSByaWdodCBoYXNoIG9mIDMyIGJ5dGVzISE="}) + "\r\nAuthorization: x"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			got := gate.get(row.target, strings.Split(row.lines, "\r\n")...)
			got.header.Del("Date")
			got.header.Del("X-Request-Id") // is another for each request
			text := fmt.Sprint(got.status, got.header, got.body)
			if first == "" {
				first = text
			}
			if text != first || got.status != 401 || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %s, want %s, 401 and never stored", text, first)
			}
			if len(gate.log.lines(`"reason":"`+row.reason+`"`)) == 0 {
				t.Errorf("log: got no line with the reason, want %s", row.reason)
			}
		})
	}
}
