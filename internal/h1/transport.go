// Package h1 is a lean HTTP/1.1 client side for a proxy: an [http.RoundTripper] that does a whole exchange
// in its caller's goroutine, where [http.Transport] keeps two goroutines for each connection and hands
// every request over several times.
//
// It owns the connections to one upstream, what is written on them and the strict reading of what comes
// back. It must not know what a request means: no header is interpreted but those that frame a message
// (RFC 9112). What it does not take, it passes to [Transport.Fallback] untouched.
//
// Start reading at [Transport.RoundTrip]; exchange.go has the way of a request.
package h1

import (
	"context"
	"net"
	"net/http"
	"time"
)

// MaxContent bounds a request's content that is taken here, in bytes: it is read before a connection is.
const MaxContent = 64 << 10

// The bounds. Those of a response's size are checked before anything is believed about it.
const (
	maxFields          = 500      // lines of a response's header, or of its trailers
	maxInformational   = 16       // 1xx responses before the final one
	maxTrailerBytes    = 4 << 10  // of a response's trailers, as in net/http
	maxChunkLine       = 1 << 10  // bytes of a chunk's size and extensions
	maxChunkExcess     = 16 << 10 // bytes of chunk framing beyond what the data warrants, as in net/http
	defaultHeaderBytes = 1 << 20
)

// Transport sends requests to one upstream over plain HTTP/1.1. Its fields must not change after its first
// use; it may be used by many goroutines at once.
//
// It takes requests to http URLs that have no content or whose content has a known length of at most
// 64 KiB; that content is read before a connection is taken, so that a slow client never holds one.
// Everything else goes to Fallback: longer content or content of unknown length, request trailers,
// Expect, Upgrade, CONNECT, https, hosts that are not plain ASCII, and everything where the system is no Unix.
//
// As with [http.Transport] a request that asks for nothing of the kind is neither compressed nor
// decompressed, redirects are not followed, and a Response.Body must be read to its end or closed. Of the
// hooks of package httptrace, Got1xxResponse alone is called, and not for 100 (Continue), which no request
// taken here has asked for. Request.Cancel, long deprecated, is not looked at.
type Transport struct {
	// Dial makes a connection to the upstream: one of the operating system's, that is a [syscall.Conn].
	// Its errors reach the caller of RoundTrip as they are.
	Dial func(ctx context.Context) (net.Conn, error)

	// MaxIdle is how many connections are kept for later; 0: none.
	MaxIdle int

	// IdleTimeout is how long a connection is kept unused; 0: until the upstream closes it.
	IdleTimeout time.Duration

	// ResponseHeaderTimeout is how long the upstream may take to accept a request and to answer it with a
	// complete header, 1xx responses included. It ends a request up to an eighth later, never earlier.
	// 0: no limit. The body of a response may take any time.
	ResponseHeaderTimeout time.Duration

	// MaxHeaderBytes bounds the header of a response; 0: 1 MiB.
	MaxHeaderBytes int

	// Fallback takes the requests that are not taken here; nil: they fail.
	Fallback http.RoundTripper

	idle    pool
	buffers buffers
}

// RoundTrip implements [http.RoundTripper]. The request's context ends the exchange at any moment, up to
// the end of the response's body.
//
// A request is sent a second time, on a new connection, only if it went out on a connection that had been
// idle, not one byte of a response came before the upstream closed it, its method is GET, HEAD, OPTIONS or
// TRACE (RFC 9110 §9.2.1, §9.2.2), and it has no content.
//
// Errors: those of Dial and of the connection as they are; a timeout satisfies [net.Error] and is
// [context.DeadlineExceeded]; an upstream that closes before it has answered is [io.EOF] or
// [io.ErrUnexpectedEOF]; what is no valid response is [ErrMalformed]; a request that cannot be written is
// [ErrUnsendable]; content that cannot be read from the client is a [*BodyError]. None of these quotes what
// the upstream or the client sent.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.Exchange(req, Hooks{})
}

// Hooks are called in the course of an exchange, by its goroutine. The zero value has none.
type Hooks struct {
	// Ready is called when the request's content has come, before a connection is taken. Its error ends the
	// exchange, and is Exchange's.
	Ready func() error

	// Interim is called for each 1xx response but 100 (Continue), in place of the hook of package httptrace,
	// which costs a context and a copy of the request.
	Interim func(status int, header http.Header) error
}

// Exchange is RoundTrip with hooks.
func (t *Transport) Exchange(req *http.Request, hooks Hooks) (*http.Response, error) {
	out, err := t.encode(req)
	if err == errNotTaken && t.Fallback != nil {
		if err := hooks.ready(); err != nil {
			return nil, err
		}
		return t.Fallback.RoundTrip(req)
	}
	if req.Body != nil {
		_ = req.Body.Close() // it has been read; a failure to close cannot undo that
	}
	if err != nil {
		return nil, err
	}
	var response *http.Response
	if err = hooks.ready(); err == nil {
		response, err = t.send(req, out.bytes, hooks.Interim)
	}
	t.buffers.put(out)
	return response, err
}

func (h *Hooks) ready() error {
	if h.Ready == nil {
		return nil
	}
	return h.Ready()
}

// send finds a connection for an encoded request, and perhaps a second one.
func (t *Transport) send(req *http.Request, out []byte, interim func(int, http.Header) error) (*http.Response, error) {
	ctx := req.Context()
	for again := false; ; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var c *conn
		if !again {
			c = t.idle.take(t.IdleTimeout)
		}
		reused := c != nil
		if !reused {
			var err error
			if c, err = t.dial(ctx); err != nil {
				return nil, err
			}
		}
		x := newExchange(t, c, req)
		x.interim = interim
		err := x.run(out, reused)
		switch {
		case err == nil:
			return &x.response, nil
		case err == errStale: // nothing was sent: this connection is as good as never taken
		case reused && !again && x.unanswered(err) && repeatable(req):
			again = true
		default:
			return nil, err
		}
	}
}

// repeatable reports whether sending req twice does no more than sending it once.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return req.Body == nil || req.Body == http.NoBody
	}
	return false
}

func (t *Transport) dial(ctx context.Context) (*conn, error) {
	socket, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c, err := newConn(socket)
	if err != nil {
		_ = socket.Close() // it is of no use
	}
	return c, err
}

// CloseIdleConnections closes the connections that nobody uses, those of Fallback too, and ends the timer
// that looks after them. Connections in use are closed when they become idle, unless new requests come
// after this. It is all that there is to stop: a Transport has no goroutine.
func (t *Transport) CloseIdleConnections() {
	t.idle.closeAll()
	if f, ok := t.Fallback.(interface{ CloseIdleConnections() }); ok {
		f.CloseIdleConnections()
	}
}

// headerLimit is MaxHeaderBytes with its default.
func (t *Transport) headerLimit() int {
	if t.MaxHeaderBytes > 0 {
		return t.MaxHeaderBytes
	}
	return defaultHeaderBytes
}
