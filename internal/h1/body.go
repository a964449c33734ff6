package h1

import (
	"io"
	"net/http"
)

// framing is how a body ends, or within a chunked one, what comes next (RFC 9112 §6.3, §7.1).
type framing int

const (
	framedByLength framing = iota
	framedByClose
	chunkSize    // a line with a size
	chunkData    // left bytes
	chunkDataEnd // the line end after them
	chunkTrailer // the trailers and an empty line
)

// frame finds out how the response's body ends, and sets the rest of the response. It follows RFC 9112
// §6.3, and net/http, but where a response can be read in two ways: one that has both Transfer-Encoding
// and Content-Length is refused, and so is one with Transfer-Encoding that calls itself HTTP/1.0.
func (x *exchange) frame() error {
	r := &x.response
	method, status := r.Request.Method, r.StatusCode
	if r.ProtoMinor == 0 {
		r.Close = true // HTTP/1.0 keeps no connection that nobody asked it to keep
	} else if connection := r.Header["Connection"]; connection != nil && listHas(connection, "close") {
		r.Close = true
		delete(r.Header, "Connection")
	}
	chunked, err := x.takeTransferEncoding()
	if err != nil {
		return err
	}
	lines := r.Header["Content-Length"]
	length, err := parseLength(lines)
	if err != nil {
		return err
	}
	if len(lines) > 1 {
		r.Header["Content-Length"] = lines[:1:1]
	}
	if chunked {
		if length >= 0 {
			return malformed("both Transfer-Encoding and Content-Length")
		}
		if r.Trailer, err = parseTrailerNames(r.Header["Trailer"]); err != nil {
			return err
		}
		delete(r.Header, "Trailer")
	}
	if pragma := r.Header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && r.Header["Cache-Control"] == nil {
		r.Header["Cache-Control"] = []string{"no-cache"} // as http.Transport does
	}
	x.inBody = true
	x.reuse = x.reuse && !r.Close
	switch {
	case method == http.MethodHead:
		r.ContentLength = length
		x.noBody()
	case status == http.StatusNoContent, status == http.StatusNotModified:
		// Either may say what a GET would have had, but 204 must not: who knows what follows it.
		x.reuse = x.reuse && (status == http.StatusNotModified || !chunked && length <= 0)
		x.noBody()
	case chunked:
		r.ContentLength, x.framing = -1, chunkSize
		r.Body = x
	case length >= 0:
		r.ContentLength = length
		x.lengthBody(length)
	default:
		r.ContentLength, r.Close = -1, true
		x.reuse, x.framing = false, framedByClose
		r.Body = x
	}
	return nil
}

// takeTransferEncoding reports whether the response is chunked, the one coding that is known here.
func (x *exchange) takeTransferEncoding() (chunked bool, err error) {
	r := &x.response
	lines, ok := r.Header["Transfer-Encoding"]
	if !ok {
		return false, nil
	}
	if len(lines) != 1 || !equalFold(lines[0], "chunked") || r.ProtoMinor == 0 {
		return false, malformed("Transfer-Encoding")
	}
	delete(r.Header, "Transfer-Encoding")
	x.chunked[0] = "chunked"
	r.TransferEncoding = x.chunked[:]
	return true, nil
}

// noBody ends the exchange of a response that has none.
func (x *exchange) noBody() {
	x.response.Body = http.NoBody
	x.leave(x.reuse && x.r == x.w)
	x.release()
}

// lengthBody begins a body of known length. What has arrived already needs the connection no more.
func (x *exchange) lengthBody(length int64) {
	arrived := int64(x.w - x.r)
	if length == 0 {
		x.noBody()
		return
	}
	x.response.Body, x.framing, x.left = x, framedByLength, length
	if arrived >= length {
		x.leave(x.reuse && arrived == length)
		x.w = x.r + int(length)
	}
}

// Read implements [io.Reader] for Response.Body: it returns what has arrived as soon as something has. The
// error after the end is io.EOF if the body was complete, and io.ErrUnexpectedEOF if the upstream has cut it.
func (x *exchange) Read(p []byte) (n int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case x.err != nil || len(p) == 0:
		return 0, x.err
	}
	switch x.framing {
	case framedByLength:
		n, err = x.readLength(p)
	case framedByClose:
		n, err = x.next(p)
	default:
		n, err = x.readChunked(p)
	}
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		x.leave(x.reuse && x.r == x.w)
	} else {
		err = x.fail(err)
	}
	x.err = err
	x.release()
	return n, err
}

// Arrived reports whether some of the body is here, or its end, so that the next Read will hardly wait. It
// is for a proxy that passes the header on before it waits, but with what there is.
func (x *exchange) Arrived() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err != nil || x.w > x.r
}

// Close implements [io.Closer] for Response.Body. Before the body's end it closes the connection: reading on
// could take forever. It may be called while a Read is under way, which then ends.
func (x *exchange) Close() error {
	x.closed.Store(true)
	x.abort()
	if !x.mu.TryLock() {
		return nil // the Read under way finds its connection closed and clears up
	}
	defer x.mu.Unlock()
	if x.stop != nil {
		x.stop()
	}
	x.release()
	return nil
}

// readLength reads from a body of known length.
func (x *exchange) readLength(p []byte) (int, error) {
	if int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.next(p)
	x.left -= int64(n)
	switch {
	case x.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads what comes next on the connection: what has arrived, or else straight into p, unless that is
// so small that many system calls would follow.
func (x *exchange) next(p []byte) (int, error) {
	if x.r == x.w {
		if len(p) >= len(x.in.bytes)/2 {
			return x.receive(p)
		}
		if err := x.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, x.in.bytes[x.r:x.w])
	x.r += n
	return n, nil
}
