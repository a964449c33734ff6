package h1

import (
	"bytes"
	"io"
	"net/http"
)

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
