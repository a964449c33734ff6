package h1

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// field is where a field stands in a header.
type field struct{ name, colon, value, end int }

// fewFields is how many fields most headers have at most; they need no allocation of their own.
const fewFields = 16

// scanFields finds the fields in b, complete lines from at on, and writes their names in canonical letter
// case. It is stricter than RFC 9112 asks (§2.2, §5): CRLF alone ends a line, a name is a token with its
// colon right behind, a value has no control characters, and no line continues the one before.
func scanFields(b []byte, at int, fields []field) ([]field, error) {
	for at < len(b) {
		if len(fields) == maxFields {
			return nil, malformed("too many header lines")
		}
		f := field{name: at}
		upper := true // the next letter is the first of a word
		for ; at < len(b) && octets[b[at]]&tokenOctet != 0; at++ {
			c := b[at]
			if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
				b[at] = c ^ 0x20
			}
			upper = c == '-'
		}
		if at == f.name || at == len(b) || b[at] != ':' {
			return nil, malformed("field name")
		}
		f.colon = at
		at++
		end := bytes.IndexByte(b[at:], '\r')
		if end < 0 || at+end+1 == len(b) || b[at+end+1] != '\n' {
			return nil, malformed("line end")
		}
		f.value, f.end = at, at+end
		at = f.end + 2
		for f.value < f.end && isBlank(b[f.value]) {
			f.value++
		}
		for f.value < f.end && isBlank(b[f.end-1]) {
			f.end--
		}
		if !isFieldValue(b[f.value:f.end]) {
			return nil, malformed("field value")
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// newHeader makes a header of the fields in text. Names and values are parts of text; the first values of
// names live in values, which has a place for each field.
func newHeader(text string, fields []field, values []string) http.Header {
	header := make(http.Header, len(fields))
	for i, f := range fields {
		name, value := text[f.name:f.colon], text[f.value:f.end]
		if before := header[name]; before != nil {
			header[name] = append(before, value)
			continue
		}
		values[i] = value
		header[name] = values[i : i+1 : i+1]
	}
	return header
}

// parseHead reads a status line and header, complete but for the empty line, into the response.
func (x *exchange) parseHead(b []byte) error {
	r := &x.response
	first, err := parseStatusLine(b)
	if err != nil {
		return err
	}
	var few [fewFields]field
	fields, err := scanFields(b, first+2, few[:0])
	if err != nil {
		return err
	}
	const version = len("HTTP/1.1")
	text := string(b) // the one allocation for all names and values
	r.Status, r.StatusCode = text[version+1:first], digits(b[version+1:version+4])
	values := x.values[:]
	if len(fields) > len(values) || r.StatusCode < 200 {
		values = make([]string, len(fields))
	}
	r.ProtoMajor, r.ProtoMinor, r.Proto = 1, 1, "HTTP/1.1"
	if b[version-1] == '0' {
		r.ProtoMinor, r.Proto = 0, "HTTP/1.0"
	}
	r.Header = newHeader(text, fields, values)
	return nil
}

// parseStatusLine checks the line that b starts with and returns where it ends (RFC 9112 §4). The version
// is 1.0 or 1.1, the status has three digits and is at least 100; the reason may be absent, its space too.
func parseStatusLine(b []byte) (end int, err error) {
	const shortest = len("HTTP/1.1 200")
	end = bytes.IndexByte(b, '\r')
	if end < shortest || end+1 == len(b) || b[end+1] != '\n' || !bytes.HasPrefix(b, versionPrefix) ||
		b[7] != '0' && b[7] != '1' || b[8] != ' ' || digits(b[9:12]) < 100 ||
		end > shortest && b[shortest] != ' ' || !isFieldValue(b[shortest:end]) {
		return 0, malformed("status line")
	}
	return end, nil
}

var versionPrefix = []byte("HTTP/1.")

// digits is the number that a few digits are, or -1.
func digits(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// parseLength reads the lines of Content-Length, which must all be the same digits (RFC 9112 §6.3); -1: none.
func parseLength(lines []string) (int64, error) {
	if len(lines) == 0 {
		return -1, nil
	}
	const longest = len("9223372036854775807")
	for _, line := range lines {
		if line != lines[0] || line == "" || len(line) > longest || digits([]byte(line[:1])) < 0 {
			return 0, malformed("Content-Length")
		}
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil {
		return 0, malformed("Content-Length")
	}
	return n, nil
}

// parseTrailerNames reads the announcement of trailers (RFC 9110 §6.6.2) as net/http does: the keys of a
// header without values, nil if there are none.
func parseTrailerNames(lines []string) (http.Header, error) {
	var names http.Header
	for _, line := range lines {
		for more := true; more; {
			var one string
			one, line, more = strings.Cut(line, ",")
			one = http.CanonicalHeaderKey(trim(one))
			if one == "" {
				continue
			}
			if !isToken(one) || framesMessage(one) {
				return nil, malformed("Trailer")
			}
			if names == nil {
				names = http.Header{}
			}
			names[one] = nil
		}
	}
	return names, nil
}

// framesMessage reports whether a field can have no place in trailers (RFC 9110 §6.5.1), since it says how
// the message is to be read.
func framesMessage(name string) bool {
	return name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer"
}
