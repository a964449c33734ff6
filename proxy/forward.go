package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

const (
	copyBuffer = 32 << 10 // bytes

	// A response whose length is known is passed on at the latest after this; one of unknown length, and
	// an event stream, at once. Flushing every write of the former too would cost a fifth of the throughput.
	flushInterval = 10 * time.Millisecond
)

// newForwarder is the proxying half: it sends a request, as the gate left it, to the upstream.
func newForwarder(upstream *upstreamSide, requestID string, accept func(*http.Response) error, log *requestLog) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewriteTo(upstream.config.URL, requestID),
		Transport:      upstream,
		FlushInterval:  flushInterval,
		BufferPool:     new(bufferPool),
		ModifyResponse: accept,
		ErrorHandler:   upstreamFailed(log),
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// rewriteTo points the outgoing request at the upstream. Path, query and host stay what the gate
// decided on: the query in particular byte for byte, although ReverseProxy has cleaned it by now.
// ReverseProxy has also taken out what a client's Connection named; the headers that are ours stay.
func rewriteTo(upstream *url.URL, requestID string) func(*httputil.ProxyRequest) {
	ours := originHeaders[:]
	if requestID != "" {
		ours = append(ours, requestID)
	}
	return func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme = upstream.Scheme
		p.Out.URL.Host = upstream.Host
		p.Out.URL.User = nil
		p.Out.URL.RawQuery = p.In.URL.RawQuery
		p.Out.Trailer = p.In.Trailer // not a copy: they come when the body ends
		for _, name := range ours {
			p.Out.Header[name] = p.In.Header[name]
		}
	}
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
