package h1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync"
	"sync/atomic"
)

// exchange is one request and its response on one connection. It is the response's Body, too.
//
// Who ends it is decided by state: one of the goroutine that reads, a Close beside it and the end of the
// request's context swaps it from live, once; the winner owns the connection's fate. So a connection that
// has gone back to the pool can never be closed by what belonged to an exchange before.
type exchange struct {
	t        *Transport
	c        *conn
	stop     func() bool // of the watch on the context; nil: it cannot end
	state    atomic.Int32
	response http.Response
	values   [fewFields]string                          // of the response's header
	chunked  [1]string                                  // Response.TransferEncoding
	interim  func(status int, header http.Header) error // of 1xx responses; nil: the hook of package httptrace
	closed   atomic.Bool                                // by Close

	mu      sync.Mutex // guards what follows once the response has been returned
	in      *buffer    // nil: given back
	r, w    int        // in.bytes[r:w] has arrived and was not yet read
	heard   bool       // a byte of a response has arrived
	reuse   bool       // the connection will be good for another exchange if this one ends well
	inBody  bool       // the header is complete
	framing framing
	left    int64 // bytes, of the body or of the chunk
	excess  int64 // see chunkSize
	err     error // of the body, once it has ended
}

// The states of an exchange.
const (
	live    = iota
	over    // ended by who reads
	aborted // ended by Close or by the context; its connection is closed
)

func newExchange(t *Transport, c *conn, req *http.Request) *exchange {
	x := &exchange{t: t, c: c, in: t.buffers.get(minBuffer)}
	x.response.Request = req
	return x
}

// run sends the request and reads the response's header. After an error everything is cleared away.
func (x *exchange) run(out []byte, probe bool) error {
	req := x.response.Request
	if ctx := req.Context(); ctx.Done() != nil {
		x.stop = context.AfterFunc(ctx, x.abort)
	}
	err := x.c.allow(x.t.ResponseHeaderTimeout)
	if err == nil {
		x.w, err = x.c.ask(out, x.in.bytes, probe)
		x.heard = x.w > 0
	}
	if err == nil {
		err = x.readHead()
	}
	if err == nil {
		x.reuse = x.c.writeErr == nil && !x.response.Close && !req.Close && !listHas(req.Header["Connection"], "close")
		err = x.frame()
	}
	if err == nil {
		return nil
	}
	if !x.heard && x.c.writeErr != nil {
		err = x.c.writeErr // what came first says more
	}
	err = x.fail(err)
	x.release()
	return err
}

// readHead reads headers until one is final.
func (x *exchange) readHead() error {
	for informational := 0; ; informational++ {
		end, err := x.headEnd()
		if err != nil {
			return err
		}
		err = x.parseHead(x.in.bytes[x.r : end+2])
		x.r = end + 4
		if err != nil {
			return err
		}
		status := x.response.StatusCode
		switch {
		case status >= 200:
			return nil
		case status == http.StatusSwitchingProtocols:
			return malformed("a switch of protocols that was not asked for")
		case informational == maxInformational:
			return malformed("too many 1xx responses")
		case hasContent(x.response.Header):
			return malformed("a 1xx response with content") // RFC 9110 §8.6, RFC 9112 §6.1
		case status != http.StatusContinue:
			if x.interim != nil {
				if err := x.interim(status, x.response.Header); err != nil {
					return err
				}
				continue
			}
			trace := httptrace.ContextClientTrace(x.response.Request.Context())
			if trace != nil && trace.Got1xxResponse != nil {
				if err := trace.Got1xxResponse(status, textproto.MIMEHeader(x.response.Header)); err != nil {
					return err
				}
			}
		}
	}
}

// hasContent reports whether a header announces content.
func hasContent(header http.Header) bool {
	length, err := parseLength(header["Content-Length"])
	return err != nil || length > 0 || header["Transfer-Encoding"] != nil
}

var emptyLine = []byte("\r\n\r\n")

// headEnd returns where the empty line after the header stands that begins at r, and reads until there is
// one. What cannot become a header is refused as soon as that shows.
func (x *exchange) headEnd() (int, error) {
	limit := x.t.headerLimit()
	for seen := 0; ; { // seen bytes from r on have no end of a header
		head := x.in.bytes[x.r:x.w]
		from := max(0, seen-(len(emptyLine)-1))
		if at := bytes.Index(head[from:], emptyLine); at >= 0 && from+at+len(emptyLine) <= limit {
			return x.r + from + at, nil
		}
		if len(head) >= limit {
			return 0, malformed("its header is too large")
		}
		if n := min(len(head), len(versionPrefix)); !bytes.Equal(head[:n], versionPrefix[:n]) {
			return 0, malformed("status line")
		}
		for i := seen; i < len(head); i++ {
			if head[i] == '\n' && (i == 0 || head[i-1] != '\r') {
				return 0, malformed("line end")
			}
		}
		seen = len(head)
		if err := x.fill(); err == io.EOF && !x.heard {
			return 0, errNoAnswer
		} else if err == io.EOF {
			return 0, errCutHead
		} else if err != nil {
			return 0, err
		}
	}
}

// fill reads more into the buffer, which it makes room in or replaces by a larger one.
func (x *exchange) fill() error {
	switch {
	case x.r == x.w:
		x.r, x.w = 0, 0
	case x.w == len(x.in.bytes) && x.r > 0:
		x.w = copy(x.in.bytes, x.in.bytes[x.r:x.w])
		x.r = 0
	case x.w == len(x.in.bytes):
		larger := x.t.buffers.get(2 * len(x.in.bytes))
		copy(larger.bytes, x.in.bytes)
		x.t.buffers.put(x.in)
		x.in = larger
	}
	n, err := x.receive(x.in.bytes[x.w:])
	x.w += n
	x.heard = x.heard || n > 0
	return err
}

// receive reads from the connection. The deadline of the header, which it leaves standing where clearing
// it would cost something, is taken away when it strikes in a body.
func (x *exchange) receive(p []byte) (int, error) {
	for {
		n, err := x.c.Read(p)
		if n == 0 && x.inBody && errors.Is(err, os.ErrDeadlineExceeded) && x.c.deadline != 0 {
			if err = x.c.allowForever(); err == nil {
				continue
			}
		}
		if n > 0 {
			err = nil // it will come again
		}
		return n, err
	}
}

// abort ends the exchange from beside: a read or write under way returns at once.
func (x *exchange) abort() {
	if x.state.CompareAndSwap(live, aborted) {
		x.c.close()
	}
}

// leave ends the exchange with its connection, which is kept if keep says so and it is still ours.
func (x *exchange) leave(keep bool) {
	if !x.state.CompareAndSwap(live, over) {
		return
	}
	if x.stop != nil {
		x.stop()
	}
	if keep {
		x.t.idle.put(x.c, x.t.MaxIdle, x.t.IdleTimeout)
	} else {
		x.c.close()
	}
}

// fail ends the exchange after an error and returns what the caller is to see.
func (x *exchange) fail(err error) error {
	x.leave(false)
	if x.state.Load() == aborted {
		if x.stop != nil {
			x.stop() // Close was it, or there is nothing to stop
		}
		if ctx := x.response.Request.Context(); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return http.ErrBodyReadAfterClose
	}
	switch {
	case err == io.EOF && !x.heard:
		return errNoAnswer
	case !x.inBody && errors.Is(err, os.ErrDeadlineExceeded):
		return timeout{}
	}
	return err
}

// release gives the buffer back. Nothing may be read afterwards.
func (x *exchange) release() {
	if x.in != nil {
		x.t.buffers.put(x.in)
		x.in, x.r, x.w = nil, 0, 0
	}
}

// unanswered reports whether the upstream closed the connection without a byte of a response.
func (x *exchange) unanswered(err error) bool { return !x.heard && hungUp(err) }
