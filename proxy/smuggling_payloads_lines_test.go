package proxy

import "strings"

// requestLines are first lines that servers read differently.
func (w smugglingWords) requestLines() []payload {
	var all []payload
	for _, row := range []struct{ name, line, want string }{
		{"empty lines before it", "\r\n\r\nGET /outer-000 HTTP/1.1", "400"},
		{"a blank before it", " GET /outer-000 HTTP/1.1", "400"},
		{"two blanks in it", "GET  /outer-000 HTTP/1.1", "400"},
		{"tabs in it", "GET\t/outer-000\tHTTP/1.1", "400"},
		{"a blank behind it", "GET /outer-000 HTTP/1.1 ", "400"},
		{"a blank in the target", "GET /outer-000 /hidden-000 HTTP/1.1", "400"},
		{"a version in the target", "GET /outer-000 HTTP/1.1 HTTP/1.1", "400"},
		{"LF at its end", "GET /outer-000 HTTP/1.1\nX: y", "outer last"},
		{"CR in it", "GET /outer-000 HTTP/1.1\rX: y", "400"},
		{"CR in the target", "GET /outer-000\r/hidden-000 HTTP/1.1", "400"},
		{"NUL in the target", "GET /outer-000\x00 HTTP/1.1", "400"},
		{"a method that is no token", "G(T /outer-000 HTTP/1.1", "400"},
		{"no method", "/outer-000 HTTP/1.1", "400"},
		{"a method in lower case", "get /outer-000 HTTP/1.1", "outer last"},
		{"HTTP/0.9 with fields", "GET /outer-000", "400"},
		{"HTTP/0.9 by name", "GET /outer-000 HTTP/0.9", "505"},
		{"HTTP/1.2", "GET /outer-000 HTTP/1.2", "outer last"},
		{"HTTP/2.0", "GET /outer-000 HTTP/2.0", "505"},
		{"HTTP/3.0", "GET /outer-000 HTTP/3.0", "505"},
		{"HTTP/1.10", "GET /outer-000 HTTP/1.10", "400"},
		{"HTTP/01.1", "GET /outer-000 HTTP/01.1", "400"},
		{"HTTP/1", "GET /outer-000 HTTP/1", "400"},
		{"the version in lower case", "GET /outer-000 http/1.1", "400"},
		{"another protocol", "GET /outer-000 RTSP/1.0", "400"},
		{"an encoded line end in the target", "GET /outer-000%0d%0aGET%20/hidden-000 HTTP/1.1", "400 last"},
		{"an encoded line end in the query", "GET /outer-000?%0d%0aGET%20/hidden-000%20HTTP/1.1 HTTP/1.1", "outer last"},
		{"a fragment", "GET /outer-000#/hidden-000 HTTP/1.1", "400 last"},
	} {
		all = append(all, payload{name: "request line: " + row.name, text: w.line(row.line) + w.hidden, want: withHidden(row.want)})
	}
	return append(all,
		payload{name: "HTTP/0.9 without fields", text: "GET /outer-000\r\n", want: "400"},
		payload{name: "the preface of HTTP/2", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + w.hidden, want: "400"})
}

// withHidden is what the client reads where a request without a token stands behind one that is answered.
func withHidden(want string) string {
	if head, ok := strings.CutSuffix(want, " last"); ok {
		return head + " hidden last"
	}
	return want
}

// hosts are requests for more than one host, or none (RFC 9112 §3.2).
func (w smugglingWords) hosts() []payload {
	var all []payload
	for _, row := range []struct{ name, line, hosts, want string }{
		{"none", "GET /outer-000 HTTP/1.1", "X-Host: a", "400"},
		{"two different", "GET /outer-000 HTTP/1.1", "Host: a\r\nHost: b", "400"},
		{"two equal", "GET /outer-000 HTTP/1.1", "Host: a\r\nHost: a", "400"},
		{"an empty second", "GET /outer-000 HTTP/1.1", "Host: a\r\nHost:", "400"},
		{"a list", "GET /outer-000 HTTP/1.1", "Host: a, b", "400"},
		{"a blank inside", "GET /outer-000 HTTP/1.1", "Host: a b", "400"},
		{"a user", "GET /outer-000 HTTP/1.1", "Host: a@b", "400"},
		{"a path", "GET /outer-000 HTTP/1.1", "Host: a/b", "400"},
		{"a blank before the colon", "GET /outer-000 HTTP/1.1", "Host : a", "400"},
		{"folded", "GET /outer-000 HTTP/1.1", "Host:\r\n a", "outer last"},
		{"a second one in a fold", "GET /outer-000 HTTP/1.1", "Host: a\r\n Host: b", "400"},
		{"a second one behind LF", "GET /outer-000 HTTP/1.1", "Host: a\nHost: b", "400"},
		{"another one in the target", "GET http://other.example/outer-000 HTTP/1.1", "Host: a", "outer last"},
		{"in the target alone", "GET http://other.example/outer-000 HTTP/1.1", "X-Host: a", "400"},
		{"none in a target that has a scheme", "GET http:///outer-000 HTTP/1.1", "Host: a", "400 last"},
		{"for all that a target without a scheme tells", "GET //outer-000 HTTP/1.1", "Host: a", "outer last"},
	} {
		all = append(all, payload{name: "host: " + row.name, text: row.line + "\r\n" + row.hosts + "\r\n" + w.outer + "\r\n\r\n" + w.hidden, want: withHidden(row.want)})
	}
	return all
}

// connections use Connection, Upgrade and Expect to make the gate drop or keep what it should not.
func (w smugglingWords) connections() []payload {
	body := w.hidden
	var all []payload
	for _, row := range []struct{ name, lines, want string }{
		{"names the token", "Connection: Approov-Token", "outer last"},
		{"names the token, lower case", "connection: approov-token", "outer last"},
		{"names the length", "Connection: Content-Length", "outer last"},
		{"names the host", "Connection: Host", "outer last"},
		{"names the verdict", "Connection: keep-alive, X-Approov-Verdict, x-approov-device", "outer last"},
		{"an empty first line", "Connection:\r\nConnection: X-Approov-Verdict", "outer last"},
		{"close", "Connection: close", "outer"},
		{"close and keep-alive", "Connection: close, keep-alive", "outer"},
		{"names itself", "Connection: Connection", "outer last"},
		{"Keep-Alive", "Connection: keep-alive\r\nKeep-Alive: timeout=1000, max=1", "outer last"},
		{"Proxy-Connection", "Proxy-Connection: close", "outer last"},
		{"an upgrade with content", "Connection: Upgrade\r\nUpgrade: websocket", "outer last"},
		{"an upgrade to h2c with content", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", "outer last"},
		{"an upgrade to TLS with content", "Connection: Upgrade\r\nUpgrade: TLS/1.2", "outer last"},
		{"expects 100", "Expect: 100-continue", "100 outer last"},
		{"expects 100, upper case", "Expect: 100-CONTINUE", "100 outer last"},
		{"expects 100 twice", "Expect: 100-continue\r\nExpect: 100-continue", "100 outer last"},
		{"expects 100 and more", "Expect: 100-continue, x", "100 outer last"},
		{"expects something else", "Expect: x", "417"},
	} {
		all = append(all, payload{name: "connection: " + row.name, text: w.post(length(body), row.lines) + body, want: row.want})
	}
	return append(all,
		payload{name: "connection: names the coding", text: w.post(coded, "Connection: Transfer-Encoding") + chunk(body) + lastChunk, want: "outer last"},
		payload{name: "connection: expects 100 without content", text: w.post("Expect: 100-continue") + body, want: "outer hidden last"},
		payload{name: "connection: expects 100, chunked", text: w.post("Expect: 100-continue", coded) + chunk(body) + lastChunk, want: "100 outer last"},
		payload{name: "connection: HTTP/1.0 without keep-alive", text: w.line("GET /outer-000 HTTP/1.0") + body, want: "outer"},
		payload{name: "connection: HTTP/1.0 with keep-alive", text: w.line("GET /outer-000 HTTP/1.0", "Connection: keep-alive") + body, want: "outer hidden last"},
		payload{name: "connection: an upgrade and a request behind it", text: w.post("Connection: Upgrade", "Upgrade: websocket") + body, want: "outer hidden last"},
		payload{name: "connection: closes before a second request", text: w.post("Connection: close") + w.second, want: "outer"})
}

// methods have content where none is expected, or open a tunnel.
func (w smugglingWords) methods() []payload {
	var all []payload
	for _, row := range []struct{ name, line, want string }{
		{"GET", "GET /outer-000 HTTP/1.1", "outer last"},
		{"HEAD", "HEAD /outer-000 HTTP/1.1", "200 last"},
		{"DELETE", "DELETE /outer-000 HTTP/1.1", "outer last"},
		{"OPTIONS", "OPTIONS /outer-000 HTTP/1.1", "outer last"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1", "400 last"},
		{"TRACE", "TRACE /outer-000 HTTP/1.1", "outer last"},
		{"CONNECT", "CONNECT api.example.com:443 HTTP/1.1", "405 last"},
		{"CONNECT to a path", "CONNECT /outer-000 HTTP/1.1", "405 last"},
		{"PRI", "PRI /outer-000 HTTP/1.1", "outer last"},
		{"a method of one's own", "SMUGGLE /outer-000 HTTP/1.1", "outer last"},
	} {
		all = append(all,
			payload{name: "method: " + row.name + " with content", text: w.line(row.line, length(w.hidden)) + w.hidden, want: row.want},
			payload{name: "method: " + row.name + " with a chunked content", text: w.line(row.line, coded) + chunk(w.hidden) + lastChunk, want: row.want},
			payload{name: "method: " + row.name + " without content", text: w.line(row.line) + w.hidden, want: withHidden(row.want)})
	}
	return all
}

// pipelines are several requests in one write.
func (w smugglingWords) pipelines() []payload {
	body := "x"
	return []payload{
		{name: "pipeline: one without a token behind one with", text: w.post() + w.hidden, want: "outer hidden last"},
		{name: "pipeline: one with its own token", text: w.post() + w.second, want: "outer second last"},
		{name: "pipeline: three", text: w.post() + w.hidden + w.second, want: "outer hidden second last"},
		{name: "pipeline: the first without a token", text: w.hidden + w.post(), want: "hidden outer last"},
		{name: "pipeline: a length shorter than the content", text: w.post("Content-Length: 1") + body + w.hidden, want: "outer hidden last"},
		{name: "pipeline: a length that swallows the next request", text: w.post(length(body+w.second)) + body + w.second, want: "outer last"},
		{name: "pipeline: an empty line between two", text: w.post("Content-Length: 1") + body + "\r\n" + w.hidden, want: "outer hidden last"},
		{name: "pipeline: a rejected request with a request in its content", text: request("POST", "/hidden-000", length(w.second)) + w.second, want: "hidden last"},
		{name: "pipeline: a rejected request with a request in its chunks", text: request("POST", "/hidden-000", coded) + chunk(w.second) + lastChunk, want: "hidden last"},
		{name: "pipeline: a rejected request with a chunk too long", text: request("POST", "/hidden-000", coded) + "1\r\n" + w.second + "\r\n" + lastChunk, want: "hidden", inLog: "400"},
	}
}
