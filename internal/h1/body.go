package h1

import (
	"bytes"
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

// readChunked reads from a chunked body. It goes on to following chunks as long as they have arrived, and
// waits only while it has nothing to return.
func (x *exchange) readChunked(p []byte) (n int, err error) {
	for {
		if x.framing == chunkData {
			if n == len(p) || n > 0 && x.r == x.w {
				return n, nil
			}
			part := p[n:]
			if int64(len(part)) > x.left {
				part = part[:x.left]
			}
			m, err := x.next(part)
			n += m
			x.left -= int64(m)
			if err != nil {
				return n, cut(err)
			}
			if x.left == 0 {
				x.framing = chunkDataEnd
			}
			continue
		}
		complete, err := x.nextFrame()
		if err != nil {
			return n, err
		}
		if !complete {
			if n > 0 {
				return n, nil
			}
			if err := x.fill(); err != nil {
				return n, cut(err)
			}
		}
	}
}

// cut is err of a connection that should not end yet.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextFrame reads what stands between the data, if it has arrived completely. After the last of it the
// error is io.EOF.
func (x *exchange) nextFrame() (complete bool, err error) {
	b := x.in.bytes[x.r:x.w]
	switch x.framing {
	case chunkDataEnd:
		if len(b) < 2 {
			return false, nil
		}
		if b[0] != '\r' || b[1] != '\n' {
			return false, malformed("line end after a chunk")
		}
		x.r += 2
		x.framing = chunkSize
		return true, nil
	case chunkSize:
		return x.chunkLine(b)
	default:
		return x.trailer(b)
	}
}

// chunkLine reads the size of a chunk. Extensions are dropped (RFC 9112 §7.1.1). Like net/http it counts
// the bytes of framing that the data does not warrant, so that nobody can keep us busy with extensions.
func (x *exchange) chunkLine(b []byte) (complete bool, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxChunkLine)], '\n')
	if end < 0 {
		if len(b) >= maxChunkLine {
			return false, malformed("chunk size line is too long")
		}
		return false, nil
	}
	size, err := parseChunkLine(b[:end])
	if err != nil {
		return false, err
	}
	x.r += end + 1
	x.excess = max(0, x.excess+int64(end)+1-16-2*size)
	if x.excess > maxChunkExcess {
		return false, malformed("more chunk framing than data")
	}
	x.left, x.framing = size, chunkData
	if size == 0 {
		x.framing = chunkTrailer
	}
	return true, nil
}

// parseChunkLine reads a chunk's size from its line, which lacks its LF.
func parseChunkLine(line []byte) (int64, error) {
	const longest = 15 // digits, which cannot overflow
	last := len(line) - 1
	if last < 0 || line[last] != '\r' || !isFieldValue(line[:last]) {
		return 0, malformed("line end of a chunk size")
	}
	hex, _, extended := bytes.Cut(line[:last], []byte(";"))
	if !extended {
		hex = trim(hex) // old Apaches pad with spaces
	}
	if len(hex) == 0 || len(hex) > longest || isBlank(line[0]) {
		return 0, malformed("chunk size")
	}
	var size int64
	for _, c := range hex {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, malformed("chunk size")
		}
		size = size<<4 | int64(c)
	}
	return size, nil
}

// trailer reads the trailers (RFC 9112 §7.1.2) into the response, beside those that were announced.
func (x *exchange) trailer(b []byte) (complete bool, err error) {
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		x.r += 2
		return true, io.EOF
	}
	end := bytes.Index(b[:min(len(b), maxTrailerBytes)], emptyLine)
	if end < 0 {
		if len(b) >= maxTrailerBytes {
			return false, malformed("its trailers are too large")
		}
		return false, nil
	}
	fields, err := scanFields(b[:end+2], 0, nil)
	if err != nil {
		return false, err
	}
	x.r += end + len(emptyLine)
	for name, values := range newHeader(string(b[:end+2]), fields, make([]string, len(fields))) {
		if framesMessage(name) {
			return false, malformed("a trailer that cannot be one")
		}
		if x.response.Trailer == nil {
			x.response.Trailer = http.Header{}
		}
		x.response.Trailer[name] = values
	}
	return true, io.EOF
}
