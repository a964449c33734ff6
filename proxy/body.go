package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// clientError is a fault of the one who sends a request's body, as against one of the upstream.
type clientError struct{ cause error }

func (e *clientError) Error() string { return "reading the request's body: " + e.cause.Error() }
func (e *clientError) Unwrap() error { return e.cause }

// clientBody is a request's body that fails when the client pauses for too long.
//
// In HTTP/1.1 the deadline is the connection's and stays set until the body's end, so that it also bounds
// the server's own reading of what nobody wanted. It moves in steps of a quarter, because setting it for
// every read would show. In HTTP/2 a deadline that passes ends the stream whether somebody reads or not,
// and a slow upstream is no fault of the client's: there a timer runs during reads only.
type clientBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	armed   int64 // monotonic: when the connection's deadline was last set
	ended   bool  // the body is complete
	stall   *stall

	reading sync.Mutex // held during Read; guards failure
	failure error      // nil: none

	mu   sync.Mutex // guards over, and is held while the connection's deadline is set
	over bool       // the handler has returned

	request  *http.Request // whose Trailer the server fills at the body's end
	trailers http.Header   // the announced ones, as they go on
}

// newClientBody watches the body of r.
func newClientBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) *clientBody {
	b := &clientBody{ReadCloser: r.Body, control: http.NewResponseController(w), timeout: timeout, armed: monotonic(), request: r}
	if len(r.Trailer) > 0 {
		b.trailers = make(http.Header, len(r.Trailer))
		for name := range r.Trailer {
			if isToken(name) {
				b.trailers[name] = nil
			}
		}
	}
	if r.ProtoMajor >= 2 {
		if isGRPC(r.Header) {
			timeout = neverStalls // a call may stay open with nothing to say
		}
		b.stall = newStall(timeout, func() { b.deadline(past) })
	}
	return b
}

// neverStalls is as good as no limit on a pause.
const neverStalls = 365 * 24 * time.Hour

// isGRPC reports whether a request says that it is a gRPC call.
func isGRPC(h http.Header) bool {
	lines := h["Content-Type"]
	return len(lines) == 1 && strings.HasPrefix(lines[0], "application/grpc")
}

// boundBody sets the connection's deadline for a request with a body before anything reads it: the gate may
// refuse the request, and net/http reads some of what it was not asked for.
func boundBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.Body != nil && r.Body != http.NoBody && r.ProtoMajor < 2 {
		arm(http.NewResponseController(w), timeout)
	}
}

func arm(control *http.ResponseController, timeout time.Duration) {
	_ = control.SetReadDeadline(time.Now().Add(timeout)) // fails where the connection is gone: so will the read
}

// Read waits for the client's next bytes, for as long as the timeout at most.
func (b *clientBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.ended {
		return 0, io.EOF // the server may have closed its side: it does once the response has begun
	}
	if b.stall != nil {
		b.stall.begin()
		defer b.stall.end()
	} else if now := monotonic(); now-b.armed > int64(b.timeout/4) {
		b.armed = now
		b.deadline(time.Now().Add(b.timeout))
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.ended = true
		if b.stall == nil {
			b.deadline(time.Time{}) // what follows on the connection is none of the body's business
		}
		for name := range b.trailers {
			if values, ok := b.request.Trailer[name]; ok {
				b.trailers[name] = values // what was not announced could speak for the gate
			}
		}
	case err != nil:
		b.failure = &clientError{err}
		err = b.failure
	}
	return n, err
}

// deadline sets the connection's deadline, as long as the connection is ours.
func (b *clientBody) deadline(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		_ = b.control.SetReadDeadline(at) // fails where the connection is gone: so will the read
	}
}

// release ends our say over the connection: the handler returns. A transport may go on reading, when the
// upstream has answered before it had all of the body.
func (b *clientBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

// fault is how the client failed to send its body; nil: it has not. A read that fails ends the request's
// context before it returns, which others may see first: once the context has ended, fault waits for the read.
func (b *clientBody) fault(ctx context.Context) error {
	if ctx.Err() != nil {
		b.reading.Lock()
	} else if !b.reading.TryLock() {
		return nil // it still reads
	}
	defer b.reading.Unlock()
	return b.failure
}

// Close does nothing. The server closes the body that it made when the request is done with; closing it from
// here would wait for the rest of it.
func (b *clientBody) Close() error { return nil }

// isToken reports whether name may be the name of a header (RFC 9110 §5.6.2). Those of trailers net/http
// does not check when it reads them.
func isToken(name string) bool {
	const allowed = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for i := 0; i < len(name); i++ {
		if strings.IndexByte(allowed, name[i]) < 0 {
			return false
		}
	}
	return name != ""
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// stall acts when something between begin and end takes too long.
type stall struct {
	timer *time.Timer
	wait  time.Duration

	mu      sync.Mutex // guards running, and is held while act runs
	running bool
}

func newStall(wait time.Duration, act func()) *stall {
	s := &stall{wait: wait}
	s.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running {
			act()
		}
	})
	s.timer.Stop()
	return s
}

func (s *stall) begin() {
	s.set(true)
	s.timer.Reset(s.wait)
}

// end waits for an act that has begun: what it touches may be gone afterwards, as a stream's state in net/http
// is when its handler has returned.
func (s *stall) end() {
	s.timer.Stop()
	s.set(false)
}

func (s *stall) set(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
}

// response is a client's end of a request whose outcome somebody wants to know, or that needs a watch of its
// own: in HTTP/2 a client that takes nothing stalls its stream, not the connection.
type response struct {
	http.ResponseWriter
	status int    // 0: none yet
	bytes  int64  // of the body
	stall  *stall // nil: the connection watches itself
	old    bool   // the client speaks HTTP/1.0
}

// newResponse watches w. A wait of 0 leaves stalls to the connection.
func newResponse(w http.ResponseWriter, to *http.Request, wait time.Duration) *response {
	r := &response{ResponseWriter: w, old: !to.ProtoAtLeast(1, 1)}
	if wait > 0 {
		control := http.NewResponseController(w)
		r.stall = newStall(wait, func() { _ = control.SetWriteDeadline(past) }) // ends the stream; if it cannot, it has ended
	}
	return r
}

// Unwrap lets http.ResponseController find what the server offers.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status. A client of HTTP/1.0 gets no interim ones (RFC 9110 §15.2).
func (r *response) WriteHeader(status int) {
	if r.old && status < http.StatusOK {
		return
	}
	if r.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Hijack hands the connection over. ReverseProxy writes the response that switches protocols there, past
// WriteHeader.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, both, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, both, err
}

// Write passes bytes on, and fails when the client takes none for too long.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.stall != nil {
		r.stall.begin()
		defer r.stall.end()
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// FlushError passes on what is buffered, and fails as Write does.
func (r *response) FlushError() error {
	if r.stall != nil {
		r.stall.begin()
		defer r.stall.end()
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}
