package proxy

import (
	"io"
	"net/http"
	"time"
)

// clientError is a fault of the one who sends a request's body, as against one of the upstream.
type clientError struct{ cause error }

func (e *clientError) Error() string { return "reading the request's body: " + e.cause.Error() }
func (e *clientError) Unwrap() error { return e.cause }

// clientBody is a request's body that fails when the client pauses for too long.
type clientBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	armed   int64 // monotonic: when the read deadline was last set; 0: it is not
}

// Read waits for the client's next bytes, for as long as the timeout at most. The deadline moves in steps
// of a quarter, because setting it for every read would show.
func (b *clientBody) Read(p []byte) (int, error) {
	if now := monotonic(); b.armed == 0 || now-b.armed > int64(b.timeout/4) {
		b.armed = now
		_ = b.control.SetReadDeadline(time.Now().Add(b.timeout)) // fails where the connection is gone: so will the read
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	// What follows on the connection is none of the body's business.
	b.armed = 0
	_ = b.control.SetReadDeadline(time.Time{}) // as above
	if err != io.EOF {
		err = &clientError{err}
	}
	return n, err
}

// response is a client's end of a request whose outcome somebody wants to know, or that needs a watch of its
// own: in HTTP/2 a client that takes nothing stalls its stream, not the connection.
type response struct {
	http.ResponseWriter
	status int   // 0: none yet
	bytes  int64 // of the body
	stall  *time.Timer
	wait   time.Duration
}

// newResponse watches w. A wait of 0 leaves stalls to the connection. The caller calls done.
func newResponse(w http.ResponseWriter, wait time.Duration) *response {
	r := &response{ResponseWriter: w, wait: wait}
	if wait > 0 {
		control := http.NewResponseController(w)
		r.stall = time.AfterFunc(wait, func() { _ = control.SetWriteDeadline(time.Unix(1, 0)) }) // ends the stream; if it cannot, it has ended
		r.stall.Stop()
	}
	return r
}

// Unwrap lets http.ResponseController find what the server offers.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status.
func (r *response) WriteHeader(status int) {
	if r.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write passes bytes on, and fails when the client takes none for too long.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.stall != nil {
		r.stall.Reset(r.wait)
		defer r.stall.Stop()
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// FlushError passes on what is buffered, and fails as Write does.
func (r *response) FlushError() error {
	if r.stall != nil {
		r.stall.Reset(r.wait)
		defer r.stall.Stop()
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}
