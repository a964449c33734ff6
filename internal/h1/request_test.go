package h1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
)

// counter is a Fallback that counts.
type counter struct{ requests, closed int }

func (c *counter) RoundTrip(*http.Request) (*http.Response, error) {
	c.requests++
	return nil, errFallback
}

func (c *counter) CloseIdleConnections() { c.closed++ }

var errFallback = errors.New("fallback")

// outgoing is a request for the tests of what is written.
func outgoing(method, target string, body io.Reader, header http.Header) *http.Request {
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		panic(err)
	}
	if header != nil {
		req.Header = header
	}
	return req
}

// sentRow is a request, made anew for each transport, since content can be read once.
type sentRow struct {
	name string
	make func() *http.Request
}

func sentRows() []sentRow {
	const base = "http://upstream.test"
	header := func(h http.Header) func() *http.Request {
		return func() *http.Request { return outgoing("GET", base+"/x", nil, h.Clone()) }
	}
	with := func(method, target, body string, change func(*http.Request)) func() *http.Request {
		return func() *http.Request {
			var content io.Reader
			if body != "" {
				content = strings.NewReader(body)
			}
			req := outgoing(method, target, content, nil)
			if change != nil {
				change(req)
			}
			return req
		}
	}
	address := func(u url.URL) func() *http.Request {
		return with("GET", base, "", func(r *http.Request) {
			u.Scheme, u.Host = "http", "upstream.test"
			r.URL = &u
		})
	}
	return []sentRow{
		{"a plain GET", header(nil)},
		{"no path", with("GET", base, "", nil)},
		{"a query", with("GET", base+"/x?a=%zz;b&c=d", "", nil)},
		{"an empty query", address(url.URL{Path: "/x", ForceQuery: true})},
		{"an escaped path", with("GET", base+"/a%2fb%20c/%C3%A9?d", "", nil)},
		{"a path that needs escapes", address(url.URL{Path: "/a b/é?#"})},
		{"a raw path that fits", address(url.URL{Path: "/a/b", RawPath: "/a%2Fb"})},
		{"a raw path that does not fit", address(url.URL{Path: "/a/c", RawPath: "/a%2Fb"})},
		{"an opaque target", address(url.URL{Opaque: "/a;b%zz", RawQuery: "c"})},
		{"an opaque target with an authority", address(url.URL{Opaque: "//other.test/a", RawQuery: "c"})},
		{"a query beyond ASCII", address(url.URL{Path: "/", RawQuery: "é=\xff"})},
		{"OPTIONS *", address(url.URL{Path: "*"})},
		{"an empty method", with("", base+"/x", "", nil)},
		{"an odd method", with("M-SEARCH", base+"/x", "", nil)},
		{"a host of its own", with("GET", base+"/x", "", func(r *http.Request) { r.Host = "api.example.com:8443" })},
		{"an IPv6 host", with("GET", base+"/x", "", func(r *http.Request) { r.Host = "[::1]:80" })},
		{"POST without content", with("POST", base+"/x", "", nil)},
		{"PUT without content", with("PUT", base+"/x", "", nil)},
		{"PATCH without content", with("PATCH", base+"/x", "", nil)},
		{"DELETE without content", with("DELETE", base+"/x", "", nil)},
		{"POST with content", with("POST", base+"/x", "content", nil)},
		{"GET with content", with("GET", base+"/x", "content", nil)},
		{"the longest content", with("POST", base+"/x", strings.Repeat("x", MaxContent), nil)},
		{"content that just fits the first buffer", with("POST", base+"/x", strings.Repeat("x", 4000), nil)},
		{"NoBody", with("POST", base+"/x", "", func(r *http.Request) { r.Body = http.NoBody })},
		{"a request that closes", with("GET", base+"/x", "", func(r *http.Request) { r.Close = true })},
		{"a request that closes and says so", with("GET", base+"/x", "", func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "Close") })},
		{"several lines of a field", header(http.Header{"X-A": {"1", "2", ""}, "X-B": nil, "X-C": {}})},
		{"values with blanks around", header(http.Header{"X-A": {" \t a  b\t "}})},
		{"values beyond ASCII", header(http.Header{"X-A": {"é\xff"}})},
		{"names as they are", header(http.Header{"x-lower": {"1"}, "X_Y": {"2"}, "!#$%&'*+-.^_`|~": {"3"}})},
		{"hop-by-hop fields", header(http.Header{"Connection": {"keep-alive, x"}, "Keep-Alive": {"5"}, "Te": {"trailers"}, "Proxy-Connection": {"x"}})},
		{"fields that are a matter of framing", header(http.Header{"Content-Length": {"5"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X-A"}, "Host": {"other.test"}})},
		{"its own user agent", header(http.Header{"User-Agent": {"curl", "twice"}})},
		{"no user agent", header(http.Header{"User-Agent": {""}})},
		{"a user agent without a line", header(http.Header{"User-Agent": {}})},
		{"its own encodings", header(http.Header{"Accept-Encoding": {"br"}})},
		{"a header larger than a buffer", header(http.Header{"X-A": {strings.Repeat("a", 5000)}, "X-B": {strings.Repeat("b", 20000)}})},
	}
}

// TestRequestsAreSentAsByHTTPTransport: the bytes on the wire are those of http.Transport, but for the
// order of fields. TestRequestsThatDiffer has the exceptions.
func TestRequestsAreSentAsByHTTPTransport(t *testing.T) {
	ours, theirs := newRecorder(t)
	for _, row := range sentRows() {
		t.Run(row.name, func(t *testing.T) {
			got, err := ours(row.make())
			if err != nil {
				t.Fatal(err)
			}
			want, err := theirs(row.make())
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("sent:\n%.2000q\nwant\n%.2000q", got, want)
			}
		})
	}
}

// newRecorder returns functions that send a request by this package and by http.Transport and return what
// an upstream got, with sorted fields.
func newRecorder(t *testing.T) (ours, theirs func(*http.Request) (string, error)) {
	t.Helper()
	got := make(chan string, 1)
	u := newUpstream(t, "tcp", func(p *peer) {
		head := p.request()
		if head == "" {
			return
		}
		var content bytes.Buffer
		if _, text, ok := strings.Cut(head, "Content-Length: "); ok {
			_, _ = io.CopyN(&content, p.in, int64(digits([]byte(text[:strings.Index(text, "\r")])))) // a failure shows in the content
		}
		got <- sortFields(head) + content.String()
		p.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	send := func(rt http.RoundTripper) func(*http.Request) (string, error) {
		return func(req *http.Request) (string, error) {
			if _, _, err := fetch(rt, req); err != nil {
				return "", err
			}
			return <-got, nil
		}
	}
	reference := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx) }}
	t.Cleanup(reference.CloseIdleConnections)
	return send(transport(t, u)), send(reference)
}

// sortFields sorts the lines of a header by name, lines of the same name as they are.
func sortFields(head string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(head, "\r\n"), "\r\n")
	fields := lines[1:]
	sort.SliceStable(fields, func(i, j int) bool {
		a, _, _ := strings.Cut(fields[i], ":")
		b, _, _ := strings.Cut(fields[j], ":")
		return a < b
	})
	return strings.Join(lines, "") + "\r\n"
}

// TestRequestsThatDiffer has what http.Transport would send, and this transport does not or not so.
func TestRequestsThatDiffer(t *testing.T) {
	get := func(h http.Header) *http.Request { return outgoing("GET", "http://upstream.test/x", nil, h) }
	ours, theirs := newRecorder(t)
	for _, row := range []struct {
		name string
		make func() *http.Request
		want string // in what http.Transport sends, and not in what we send
		sent bool   // without it
	}{
		{"framing fields in odd letter case are left out", func() *http.Request {
			return get(http.Header{"content-length": {"5"}, "TRANSFER-ENCODING": {"chunked"}, "trailer": {"X"}, "host": {"other.test"}})
		}, "host: other.test", true},
		{"a space in the target is refused", func() *http.Request {
			req := get(nil)
			req.URL.RawQuery = "a HTTP/1.1"
			return req
		}, "a HTTP/1.1 HTTP/1.1", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if text, err := theirs(row.make()); err != nil || !strings.Contains(text, row.want) {
				t.Errorf("http.Transport: got %q, %v, want %q sent", text, err, row.want)
			}
			text, err := ours(row.make())
			if (err == nil) != row.sent || strings.Contains(text, row.want) {
				t.Errorf("got %q, %v, want %q not sent", text, err, row.want)
			}
			for _, never := range []string{"5", "chunked", "railer", "other"} {
				if strings.Contains(text, never) {
					t.Errorf("sent: got %q, want no %q", text, never)
				}
			}
		})
	}
}

func TestRequestsThatNobodyCanSend(t *testing.T) {
	for _, row := range []struct {
		name string
		make func() *http.Request
	}{
		{"a line end in a value", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"X-A": {"b\r\nX-Injected: c"}})
		}},
		{"a bare LF in a long value", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"X-A": {"0123456789\n0123456789"}})
		}},
		{"NUL in a value", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"X-A": {"b\x00"}})
		}},
		{"a line end in a name", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"X-A: b\r\nX-B": {"c"}})
		}},
		{"a colon in a name", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"X-A:": {"c"}})
		}},
		{"an empty name", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"": {"c"}})
		}},
		{"a line end in the user agent", func() *http.Request {
			return outgoing("GET", "http://upstream.test/", nil, http.Header{"User-Agent": {"b\r\nX-Injected: c"}})
		}},
		{"a method that is no token", func() *http.Request {
			req := outgoing("GET", "http://upstream.test/", nil, nil)
			req.Method = "GET / HTTP/1.1\r\nX-Injected:"
			return req
		}},
		{"a line end in the query", func() *http.Request {
			req := outgoing("GET", "http://upstream.test/", nil, nil)
			req.URL.RawQuery = "a\r\nX-Injected: b"
			return req
		}},
		{"a line end in an opaque target", func() *http.Request {
			req := outgoing("GET", "http://upstream.test/", nil, nil)
			req.URL.Opaque = "/a\r\nX-Injected: b"
			return req
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := answering(t, hello)
			_, _, err := fetch(transport(t, u), row.make())
			if !errors.Is(err, ErrUnsendable) || u.accepted.Load() != 0 || strings.Contains(err.Error(), "X-Injected") {
				t.Errorf("got %v and %d connections, want ErrUnsendable that quotes nothing, and none", err, u.accepted.Load())
			}
		})
	}
}

func TestRequestsForFallback(t *testing.T) {
	change := func(change func(*http.Request)) *http.Request {
		req := outgoing("POST", "http://upstream.test/x", strings.NewReader("content"), nil)
		change(req)
		return req
	}
	for _, row := range []struct {
		name string
		req  *http.Request
	}{
		{"content of unknown length", change(func(r *http.Request) { r.ContentLength = -1 })},
		{"content whose length was not told", change(func(r *http.Request) { r.ContentLength = 0 })},
		{"long content", change(func(r *http.Request) { r.ContentLength = MaxContent + 1 })},
		{"a length without content", change(func(r *http.Request) { r.Body = nil })},
		{"Expect", change(func(r *http.Request) { r.Header.Set("Expect", "100-continue") })},
		{"expect in odd letter case", change(func(r *http.Request) { r.Header["expect"] = []string{"100-continue"} })},
		{"Upgrade", change(func(r *http.Request) { r.Header.Set("Upgrade", "websocket") })},
		{"Connection: upgrade", change(func(r *http.Request) { r.Header.Set("Connection", "x, Upgrade") })},
		{"CONNECT", change(func(r *http.Request) { r.Method = "CONNECT" })},
		{"trailers", change(func(r *http.Request) { r.Trailer = http.Header{"X-A": nil} })},
		{"a transfer encoding", change(func(r *http.Request) { r.TransferEncoding = []string{"chunked"} })},
		{"https", change(func(r *http.Request) { r.URL.Scheme = "https" })},
		{"no URL", change(func(r *http.Request) { r.URL = nil })},
		{"no header", change(func(r *http.Request) { r.Header = nil })},
		{"no host in the URL", change(func(r *http.Request) { r.URL.Host = "" })},
		{"an international host", change(func(r *http.Request) { r.Host = "bücher.test" })},
		{"an IPv6 zone", change(func(r *http.Request) { r.Host = "[fe80::1%25en0]" })},
		{"a line end in the host", change(func(r *http.Request) { r.Host = "a\r\nX-Injected: b" })},
	} {
		t.Run(row.name, func(t *testing.T) {
			body := &tracked{}
			if row.req.Body != nil {
				row.req.Body = body
			}
			fallback := &counter{}
			tr := &Transport{Fallback: fallback}
			if _, err := tr.RoundTrip(row.req); err != errFallback || fallback.requests != 1 {
				t.Errorf("got %v, want the request passed on", err)
			}
			if body.read || body.closed {
				t.Errorf("its content: got read %v, closed %v, want it untouched", body.read, body.closed)
			}
			tr.Fallback = nil
			if _, err := tr.RoundTrip(row.req); !errors.Is(err, ErrUnsendable) {
				t.Errorf("without Fallback: got %v, want ErrUnsendable", err)
			}
			if row.req.Body != nil && !body.closed {
				t.Error("without Fallback: got its content open, want it closed")
			}
		})
	}
}
