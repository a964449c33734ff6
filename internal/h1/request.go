package h1

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// encode writes a request as it will be sent, header and content, into a lent buffer. With errNotTaken it
// has not touched the request.
func (t *Transport) encode(req *http.Request) (*buffer, error) {
	length, ok := contentLength(req)
	if !supported || !ok || req.URL == nil || req.URL.Scheme != "http" || req.URL.Host == "" || req.Header == nil ||
		req.Method == http.MethodConnect || req.Trailer != nil || len(req.TransferEncoding) > 0 {
		return nil, errNotTaken
	}
	out := t.buffers.get(minBuffer)
	head, err := appendHead(out.bytes[:0], req, length)
	if err != nil {
		t.buffers.put(out)
		return nil, err
	}
	out.bytes = head
	if length == 0 {
		return out, nil
	}
	if cap(head) <= len(head)+length {
		larger := t.buffers.get(len(head) + length + 1)
		larger.bytes = append(larger.bytes[:0], head...)
		t.buffers.put(out)
		out = larger
	}
	if out.bytes, err = appendContent(out.bytes, req.Body, length); err != nil {
		t.buffers.put(out)
		return nil, err
	}
	return out, nil
}

// contentLength is the length of a request's content; ok is false where it is unknown or too much.
func contentLength(req *http.Request) (length int, ok bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return 0, req.ContentLength == 0
	}
	return int(req.ContentLength), req.ContentLength > 0 && req.ContentLength <= MaxContent
}

// appendContent appends all of body, which must be as long as was announced. b has room for one byte
// more, so that a longer body shows and a reader that says so at once is asked only once.
func appendContent(b []byte, body io.Reader, length int) ([]byte, error) {
	end := len(b) + length
	for {
		n, err := body.Read(b[len(b) : end+1])
		b = b[:len(b)+n]
		switch {
		case len(b) > end:
			return b, &BodyError{unsendable("its content is longer than its Content-Length")}
		case err == io.EOF && len(b) == end:
			return b, nil
		case err == io.EOF:
			return b, &BodyError{io.ErrUnexpectedEOF}
		case err != nil:
			return b, &BodyError{err}
		}
	}
}

// appendHead appends a request's header, as http.Transport would write it (RFC 9112 §3, §5) but for the
// order of its fields. Nothing of the request can end a line or a header.
func appendHead(b []byte, req *http.Request, length int) ([]byte, error) {
	method, host := req.Method, req.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = req.URL.Host
	}
	if !isToken(method) {
		return nil, unsendable("its method is not a token")
	}
	if !consists(host, hostOctet) {
		return nil, errNotTaken // an international name, a zone, or nonsense
	}
	b = append(append(b, method...), ' ')
	start := len(b)
	b = appendTarget(b, req.URL)
	if !consists(b[start:], targetOctet) {
		return nil, unsendable("its target has a space or a control character")
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), host...), "\r\n"...)
	if length > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(length), 10), "\r\n"...)
	}
	if req.Close && !listHas(req.Header["Connection"], "close") {
		b = append(b, "Connection: close\r\n"...)
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		b = append(b, "User-Agent: Go-http-client/1.1\r\n"...) // as http.Transport
	}
	b, err := appendFields(b, req.Header)
	return append(b, "\r\n"...), err
}

// appendTarget appends what u.RequestURI returns, mostly without making a string of it.
func appendTarget(b []byte, u *url.URL) []byte {
	if u.Opaque != "" {
		return append(b, u.RequestURI()...)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	b = append(b, path...)
	if u.ForceQuery || u.RawQuery != "" {
		b = append(append(b, '?'), u.RawQuery...)
	}
	return b
}

// appendFields appends the fields of a header but those that are a matter of the message's framing, in
// any letter case. What asks for more than this transport offers is errNotTaken.
func appendFields(b []byte, header http.Header) ([]byte, error) {
	for name, values := range header {
		if !isToken(name) {
			return nil, unsendable("a field's name is not a token")
		}
		switch class := classify(name); {
		case class == fieldDiverts, class == fieldConnection && listHas(values, "upgrade"):
			return nil, errNotTaken
		case class == fieldOurs:
			continue
		case name == "User-Agent":
			if len(values) == 0 || values[0] == "" {
				continue // the way to ask for none
			}
			values = values[:1]
		}
		for _, value := range values {
			b = append(append(b, name...), ": "...)
			start := len(b)
			b = append(b, trim(value)...)
			if !isFieldValue(b[start:]) {
				return nil, unsendable("a field's value has a control character")
			}
			b = append(b, "\r\n"...)
		}
	}
	return b, nil
}

// The classes of a request's fields.
const (
	fieldPlain      = iota
	fieldOurs       // written by appendHead, or never
	fieldConnection // may ask for an upgrade
	fieldDiverts    // asks for what Fallback has
)

// classify finds the class of a field by its name, in any letter case.
func classify(name string) int {
	switch len(name) {
	case len("Host"):
		if equalFold(name, "host") {
			return fieldOurs
		}
	case len("Expect"):
		if equalFold(name, "expect") {
			return fieldDiverts
		}
	case len("Upgrade"): // and Trailer
		if equalFold(name, "upgrade") {
			return fieldDiverts
		}
		if equalFold(name, "trailer") {
			return fieldOurs
		}
	case len("Connection"):
		if equalFold(name, "connection") {
			return fieldConnection
		}
	case len("Content-Length"):
		if equalFold(name, "content-length") {
			return fieldOurs
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "transfer-encoding") {
			return fieldOurs
		}
	}
	return fieldPlain
}

// listHas reports whether a list field has a member (RFC 9110 §5.6.1); member is in lower case.
func listHas(lines []string, member string) bool {
	for _, line := range lines {
		for more := true; more; {
			var one string
			one, line, more = strings.Cut(line, ",")
			if equalFold(trim(one), member) {
				return true
			}
		}
	}
	return false
}

// equalFold compares s, in any letter case, with a name in lower case. Unlike strings.EqualFold it knows
// ASCII alone, where the Kelvin sign is no k.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
