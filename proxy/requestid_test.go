package proxy

import (
	"net/http"
	"strings"
	"testing"
)

func TestRequestIDs(t *testing.T) {
	const made = "made" // stands for an id of 32 hexadecimal digits
	for _, row := range []struct {
		name   string
		header http.Header
		want   string
	}{
		{"none", http.Header{}, made},
		{"a good one", http.Header{"X-Request-Id": {"4bf92f35-77b3_4da6.a3ce:929d/0e0e+47=36"}}, "4bf92f35-77b3_4da6.a3ce:929d/0e0e+47=36"},
		{"one of one byte", http.Header{"X-Request-Id": {"1"}}, "1"},
		{"one of 128 bytes", http.Header{"X-Request-Id": {strings.Repeat("x", 128)}}, strings.Repeat("x", 128)},
		{"one of 129 bytes", http.Header{"X-Request-Id": {strings.Repeat("x", 129)}}, made},
		{"an empty one", http.Header{"X-Request-Id": {""}}, made},
		{"two lines", http.Header{"X-Request-Id": {"a", "b"}}, made},
		{"the same twice", http.Header{"X-Request-Id": {"a", "a"}}, made},
		{"a space", http.Header{"X-Request-Id": {"a b"}}, made},
		{"a comma", http.Header{"X-Request-Id": {"a,b"}}, made},
		{"a quote", http.Header{"X-Request-Id": {`a"b`}}, made},
		{"markup", http.Header{"X-Request-Id": {"<script>"}}, made},
		{"an escape of a terminal", http.Header{"X-Request-Id": {"\x1b[31m"}}, made},
		{"a tabulator", http.Header{"X-Request-Id": {"a\tb"}}, made},
		{"a byte beyond ASCII", http.Header{"X-Request-Id": {"é"}}, made},
		{"a lookup", http.Header{"X-Request-Id": {"${jndi:x}"}}, made},
		{"an alias alone", http.Header{"X_request_id": {"alias"}}, made},
		{"an alias beside a good one", http.Header{"X-Request-Id": {"good"}, "X_request_id": {"alias"}, "X.request.id": {"alias"}}, "good"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := requestID(row.header, "X-Request-Id")
			if row.want == made && (len(got) != 32 || strings.Trim(got, "0123456789abcdef") != "") || row.want != made && got != row.want {
				t.Errorf("got %q, want %s", got, row.want)
			}
			if len(row.header) != 1 || len(row.header["X-Request-Id"]) != 1 || row.header["X-Request-Id"][0] != got {
				t.Errorf("header: got %v, want the id once and no alias", row.header)
			}
		})
	}
	if a, b := newRequestID(), newRequestID(); a == b {
		t.Errorf("got %s twice, want two ids", a)
	}
}

func TestRequestIDsOverTheWire(t *testing.T) {
	upstream := newUpstream(t, nil)
	named := run(t, upstream.URL, map[string]any{}, func(p *Proxy) { p.Tree["request_id"] = "x-correlation-ID" })
	off := run(t, upstream.URL, map[string]any{}, func(p *Proxy) { p.Tree["request_id"] = "" })
	token := "Approov-Token: " + validToken(t, nil)
	t.Run("a refused client is told its id, and so is the log", func(t *testing.T) {
		got := named.get("/x", "X-Correlation-Id: abc-1")
		if id := got.header.Get("X-Correlation-Id"); got.status != 401 || id != "abc-1" {
			t.Errorf("got %d with %q, want 401 with abc-1", got.status, id)
		}
		if lines := named.log.lines(`"request_id":"abc-1"`); len(lines) != 1 {
			t.Errorf("log: got %d lines with the id, want 1", len(lines))
		}
	})
	t.Run("a bad id is neither told nor logged nor passed on", func(t *testing.T) {
		const bad = "bad id"
		got := named.get("/x", "X-Correlation-Id: "+bad)
		if id := got.header.Get("X-Correlation-Id"); len(id) != 32 || len(named.log.lines(bad)) > 0 {
			t.Errorf("got %q, want a new one, and nothing in the log", id)
		}
	})
	t.Run("the upstream gets the id, whatever Connection says", func(t *testing.T) {
		for _, lines := range [][]string{{}, {"Transfer-Encoding: chunked"}} {
			method, end := "GET", ""
			if len(lines) > 0 {
				method, end = "POST", "0\r\n\r\n"
			}
			named.send(request(method, "/x", append(lines, token, "X-Correlation-Id: abc-2", "Connection: x-correlation-id")...) + end)
			if got := upstream.last(t).Header["X-Correlation-Id"]; len(got) != 1 || got[0] != "abc-2" {
				t.Errorf("%s: got %q, want abc-2", method, got)
			}
		}
	})
	t.Run("an empty name switches ids off", func(t *testing.T) {
		off.get("/x", token, "X-Request-Id: my own")
		if got := upstream.last(t).Header["X-Request-Id"]; len(got) != 1 || got[0] != "my own" {
			t.Errorf("upstream: got %q, want the client's own header untouched", got)
		}
		if got := off.get("/x"); got.header.Get("X-Request-Id") != "" || len(off.log.lines("request_id")) > 0 {
			t.Errorf("refusal: got %v and log %q, want no id", got.header, off.log)
		}
	})
}
