package proxy

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// reading is one way to cut a connection's bytes into HTTP/1.1 requests. The zero value is RFC 9112 to
// the letter; each field is a liberty that some server has taken. It shares no code with net/http.
type reading struct {
	name         string
	bareLF       bool // a line may end in LF alone
	bareCR       bool // a line may end in CR alone
	lengthFirst  bool // Content-Length counts, Transfer-Encoding beside it does not
	lastLength   bool // of several Content-Length lines the last counts, not the first
	noCodings    bool // Transfer-Encoding is unknown
	looseCodings bool // whatever mentions chunked is chunked
	looseNames   bool // blanks and control characters in a field's name do not count
	looseSizes   bool // a number is what C's strtol makes of the text
	foldsLost    bool // a line that begins with a blank is a line of its own, not folded (RFC 9112 §5.2)
}

// readings are the backends that the gate must protect alike.
var readings = []reading{
	{name: "to the letter"},
	{name: "the length before the coding", lengthFirst: true},
	{name: "the last length", lengthFirst: true, lastLength: true},
	{name: "no codings", noCodings: true},
	{name: "any coding with chunked in it", looseCodings: true},
	{name: "lines that end in LF", bareLF: true},
	{name: "lines that end in CR", bareLF: true, bareCR: true},
	{name: "loose numbers", looseSizes: true},
	{name: "loose names", looseNames: true},
	{name: "folds are fields", foldsLost: true, looseNames: true},
	{name: "loose, the coding first", bareLF: true, looseCodings: true, looseNames: true, looseSizes: true},
	{name: "loose, the length first", bareLF: true, looseCodings: true, looseNames: true, looseSizes: true, lengthFirst: true},
	{name: "loose, the last length", bareLF: true, looseCodings: true, looseNames: true, looseSizes: true, lengthFirst: true, lastLength: true},
	{name: "loose in all", bareLF: true, bareCR: true, looseCodings: true, looseNames: true, looseSizes: true, foldsLost: true},
}

// read is one request as a reading sees it.
type read struct {
	method, target string
	head           string // request line and fields, with their line ends
	fields         []readField
	whole          bool // its body is there to the end
}

type readField struct{ name, value string }

// values are those of a request's fields of this name, which is given in lower case.
func (r read) values(name string) []string {
	var all []string
	for _, f := range r.fields {
		if f.name == name {
			all = append(all, f.value)
		}
	}
	return all
}

// path is the request's target without query.
func (r read) path() string {
	path, _, _ := strings.Cut(r.target, "?")
	return path
}

// requests are those whose head is complete, up to the point where a server reading this way gives up.
func (how reading) requests(stream string) []read {
	var all []read
	for {
		request, rest, ok := how.head(stream)
		if !ok {
			return all
		}
		body, ok := how.body(request, rest)
		request.whole = ok
		all = append(all, request)
		if !ok {
			return all
		}
		stream = body
	}
}

// line cuts the first line off text, without its end.
func (how reading) line(text string) (line, rest string, ok bool) {
	for i := range len(text) {
		switch {
		case strings.HasPrefix(text[i:], "\r\n"):
			return text[:i], text[i+2:], true
		case how.bareLF && text[i] == '\n', how.bareCR && text[i] == '\r' && i+1 < len(text):
			return text[:i], text[i+1:], true
		}
	}
	return "", text, false
}

// head reads a request line and the fields behind it.
func (how reading) head(stream string) (request read, rest string, ok bool) {
	line, rest, ok := how.line(stream)
	for ok && line == "" { // RFC 9112 §2.2: empty lines before a request line are skipped
		stream = rest
		line, rest, ok = how.line(stream)
	}
	if !ok {
		return read{}, "", false
	}
	words := strings.Fields(line)
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/") {
		return read{}, "", false
	}
	request = read{method: words[0], target: words[1]}
	for {
		line, rest, ok = how.line(rest)
		switch {
		case !ok:
			return read{}, "", false
		case line == "":
			request.head = stream[:len(stream)-len(rest)]
			return request, rest, true
		case (line[0] == ' ' || line[0] == '\t') && !how.foldsLost:
			if last := len(request.fields) - 1; last >= 0 {
				request.fields[last].value += " " + strings.Trim(line, " \t")
			}
			continue
		}
		name, value, colon := strings.Cut(line, ":")
		if colon {
			request.fields = append(request.fields, readField{how.fieldName(name), strings.Trim(value, " \t")})
		}
	}
}

// fieldName is a field's name in lower case.
func (how reading) fieldName(name string) string {
	if how.looseNames {
		name = strings.Map(func(c rune) rune {
			if c <= ' ' || c == 0x7f {
				return -1
			}
			return c
		}, name)
	}
	return strings.ToLower(name)
}

// body skips a request's body and returns what follows it.
func (how reading) body(request read, rest string) (after string, ok bool) {
	lengths := request.values("content-length")
	if how.chunked(request) && (len(lengths) == 0 || !how.lengthFirst) {
		return how.chunks(rest)
	}
	if len(lengths) == 0 {
		return rest, true
	}
	text := lengths[0]
	if how.lastLength {
		text = lengths[len(lengths)-1]
	}
	n, ok := how.number(text, 10)
	if !ok || n > len(rest) {
		return "", false
	}
	return rest[n:], true
}

// chunked reports whether a request's body is in the chunked coding.
func (how reading) chunked(request read) bool {
	codings := strings.ToLower(strings.Join(request.values("transfer-encoding"), ","))
	if how.noCodings {
		return false
	}
	if how.looseCodings {
		return strings.Contains(codings, "chunked")
	}
	return strings.Trim(codings[strings.LastIndexByte(codings, ',')+1:], " \t") == "chunked"
}

// chunks skips a chunked body with its trailer (RFC 9112 §7.1).
func (how reading) chunks(rest string) (after string, ok bool) {
	for {
		var line string
		if line, rest, ok = how.line(rest); !ok {
			return "", false
		}
		text, _, _ := strings.Cut(line, ";")
		size, ok := how.number(strings.TrimRight(text, " \t"), 16)
		if !ok || size > len(rest) {
			return "", false
		}
		if size == 0 {
			break
		}
		rest = rest[size:]
		if end, after, found := how.line(rest); found && end == "" {
			rest = after
		} else if !how.looseSizes {
			return "", false
		}
	}
	for line := "-"; line != ""; {
		if line, rest, ok = how.line(rest); !ok {
			return "", false
		}
	}
	return rest, true
}

// number reads digits, and what C makes of other text where the reading is loose.
func (how reading) number(text string, base int) (n int, ok bool) {
	if how.looseSizes {
		text = strings.ToLower(strings.TrimLeft(text, " \t\v\f\r\n+"))
		if base == 16 {
			text = strings.TrimPrefix(text, "0x")
		}
		text = text[:len(text)-len(strings.TrimLeft(text, "0123456789abcdef"[:base]))]
		if text == "" {
			return 0, true
		}
	}
	value, err := strconv.ParseUint(text, base, 31)
	return int(value), err == nil
}

// ambiguity says what in a request's head two servers could read in two ways; empty: nothing. Several tokens are
// such a thing in mode enforce alone: in mode log the backend gets what it would get without a gate.
func ambiguity(head, mode string) string {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	if words := strings.Split(lines[0], " "); len(words) != 3 || words[2] != "HTTP/1.1" {
		return fmt.Sprintf("request line %q", lines[0])
	}
	seen := map[string]int{}
	for _, line := range lines {
		for i := range len(line) {
			if line[i] < ' ' && line[i] != '\t' || line[i] == 0x7f {
				return fmt.Sprintf("control character in %q", line)
			}
		}
	}
	for _, line := range lines[1:] {
		name, value, colon := strings.Cut(line, ":")
		if !colon || name == "" || strings.ContainsAny(name, " \t\"(),/:;<=>?@[\\]{}") || value != "" && value[0] != ' ' {
			return fmt.Sprintf("field line %q", line)
		}
		seen[strings.ToLower(name)]++
	}
	if seen["host"] != 1 || seen["content-length"]+seen["transfer-encoding"] > 1 || seen["approov-token"] > 0 && mode == "enforce" {
		return fmt.Sprintf("%d Host, %d Content-Length, %d Transfer-Encoding and %d Approov-Token lines",
			seen["host"], seen["content-length"], seen["transfer-encoding"], seen["approov-token"])
	}
	return ""
}

// TestReadingsSeeWhatTheySay holds the judge itself: each reading sees the request that its liberty lets in.
func TestReadingsSeeWhatTheySay(t *testing.T) {
	const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	head := func(lines ...string) string {
		return "POST /outer HTTP/1.1\r\nHost: a\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	for _, row := range []struct{ name, stream, in, notIn string }{
		{"a length that covers all, with a last chunk before the end", head("Content-Length: 38", "Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden,
			"to the letter", "the length before the coding"},
		{"a length that ends before the chunk", head("Transfer-Encoding: chunked", "Content-Length: 4") + "21\r\n" + hidden + "\r\n0\r\n\r\n",
			"the length before the coding", "to the letter"},
		{"a length that ends at once, and a second", head("Content-Length: 33", "Content-Length: 0") + hidden, "the last length", "to the letter"},
		{"a chunked body nobody decodes", head("Transfer-Encoding: chunked") + hidden, "no codings", "to the letter"},
		{"a misspelt coding", head("Transfer-Encoding: xchunked", "Content-Length: 38") + "0\r\n\r\n" + hidden, "any coding with chunked in it", "to the letter"},
		{"LF in a field", head("Content-Length: 38", "X: y\nTransfer-Encoding: chunked") + "0\r\n\r\n" + hidden, "lines that end in LF", "to the letter"},
		{"CR in a field", head("Content-Length: 38", "X: y\rTransfer-Encoding: chunked") + "0\r\n\r\n" + hidden, "lines that end in CR", "lines that end in LF"},
		{"LF in a chunk extension", head("Transfer-Encoding: chunked") + "2;\nxx\r\n26\r\n0\r\n\r\n" + hidden + "\r\n0\r\n\r\n",
			"to the letter", "lines that end in LF"},
		{"a sign before a size", head("Transfer-Encoding: chunked") + "+0\r\n\r\n" + hidden, "loose numbers", "to the letter"},
		{"0x before a size", head("Transfer-Encoding: chunked") + "0x0\r\n\r\n" + hidden, "loose numbers", "to the letter"},
		{"a blank before the colon", head("Content-Length: 38", "Transfer-Encoding : chunked") + "0\r\n\r\n" + hidden, "loose names", "to the letter"},
		{"a folded coding", head("Content-Length: 38", "X: y", " Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden, "folds are fields", "to the letter"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, how := range readings {
				found := false
				for _, request := range how.requests(row.stream) {
					found = found || request.target == "/hidden"
				}
				if how.name == row.in && !found {
					t.Errorf("%s: got no hidden request, want one", how.name)
				}
				if how.name == row.notIn && found {
					t.Errorf("%s: got the hidden request, want none", how.name)
				}
			}
		})
	}
}
