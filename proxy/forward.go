package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/approovgate/approovgate/engine"
)

// The bounds of the upstream side. There is no limit on how long a body may take: streams live.
const (
	dialTimeout           = 5 * time.Second
	tlsHandshakeTimeout   = 10 * time.Second
	responseHeaderTimeout = 60 * time.Second
	expectContinueTimeout = 1 * time.Second
	idleUpstreamTimeout   = 90 * time.Second
	idleUpstreamPerHost   = 1024    // idle connections kept; the default of 2 would dial per request under load
	maxResponseHeader     = 1 << 20 // bytes
	copyBuffer            = 32 << 10

	// A response whose length is known is passed on at the latest after this; one of unknown length, and
	// an event stream, at once. Flushing every write of the former too would cost a fifth of the throughput.
	flushInterval = 10 * time.Millisecond
)

// newForwarder is the proxying half: it sends a request, as the gate left it, to the upstream.
func newForwarder(upstream *url.URL, transport http.RoundTripper, log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       rewriteTo(upstream),
		Transport:     transport,
		FlushInterval: flushInterval,
		BufferPool:    new(bufferPool),
		ErrorHandler:  upstreamFailed(log),
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// newTransport makes the connections to the upstream. HTTP/2 is spoken to https upstreams that offer it.
// Nothing is taken from the environment: a proxy variable must not divert what was checked.
// A nil roots means the system's.
func newTransport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ResponseHeaderTimeout:  responseHeaderTimeout,
		ExpectContinueTimeout:  expectContinueTimeout,
		IdleConnTimeout:        idleUpstreamTimeout,
		MaxIdleConnsPerHost:    idleUpstreamPerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // the client's Accept-Encoding decides, bodies pass untouched
		ForceAttemptHTTP2:      true,
	}
}

// rewriteTo points the outgoing request at the upstream. Path, query and host stay what the gate
// decided on: the query in particular byte for byte, although ReverseProxy has cleaned it by now.
func rewriteTo(upstream *url.URL) func(*httputil.ProxyRequest) {
	return func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme = upstream.Scheme
		p.Out.URL.Host = upstream.Host
		p.Out.URL.User = nil
		p.Out.URL.RawQuery = p.In.URL.RawQuery
		deleteForwarded(p.Out.Header)
		setForwarded(p.Out.Header, p.In)
	}
}

// setForwarded tells the upstream whom the request came from and how it was addressed. It is
// httputil's SetXForwarded for headers that hold nothing of the kind yet, at a third of its cost.
func setForwarded(h http.Header, in *http.Request) {
	client, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		client = "unknown" // RFC 7239 §6.3; net/http's addresses always have a port
	}
	protocol := "http"
	if in.TLS != nil {
		protocol = "https"
	}
	values := []string{client, in.Host, protocol} // one allocation for the three
	h["X-Forwarded-For"] = values[0:1:1]
	h["X-Forwarded-Host"] = values[1:2:2]
	h["X-Forwarded-Proto"] = values[2:3:3]
}

// deleteForwarded deletes what the client claims about proxies before us: Forwarded (RFC 7239), every
// X-Forwarded header, and the spellings that CGI-like backends fold into them. Nobody is trusted yet.
func deleteForwarded(h http.Header) {
	const all = "X-Forwarded"
	for name := range h {
		if len(name) >= len(all) && engine.SameHeader(name[:len(all)], all) || engine.SameHeader(name, "Forwarded") {
			delete(h, name)
		}
	}
}

// dropUpgrade takes out the wish to go on in a protocol in which the gate would not see every request,
// HTTP/2 without TLS (h2c) above all. The request itself goes on, as RFC 9110 §7.8 allows; many a client
// asks for h2c by default. WebSocket and the like pass.
func dropUpgrade(h http.Header) {
	delete(h, "Http2-Settings")
	if lines, ok := h["Upgrade"]; ok && !upgradeAllowed(lines) {
		delete(h, "Upgrade")
	}
}

// upgradeAllowed reports whether a protocol upgrade may reach the upstream: one line, one protocol,
// printable ASCII, not h2c.
func upgradeAllowed(lines []string) bool {
	if len(lines) != 1 || strings.Contains(lines[0], ",") {
		return false
	}
	name := lines[0]
	for i := 0; i < len(name); i++ {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	protocol, _, _ := strings.Cut(name, "/")
	return name != "" && !strings.EqualFold(protocol, "h2c")
}

// bufferPool lends copy buffers to the forwarder. The zero value is ready.
type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if buf, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return buf[:]
	}
	return make([]byte, copyBuffer)
}

func (b *bufferPool) Put(buf []byte) {
	if len(buf) == copyBuffer {
		b.pool.Put((*[copyBuffer]byte)(buf))
	}
}
