package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// smugglingWords are the parts that payloads are made of.
type smugglingWords struct {
	outer, last, flush string // token headers, each with the request's name as device
	hidden             string // a request without a token, which claims to have passed
	second             string // a request with its own token
}

func newSmugglingWords(t *testing.T) smugglingWords {
	token := func(name string) string {
		return "Approov-Token: " + validToken(t, map[string]any{"did": name})
	}
	return smugglingWords{
		outer: token("outer"), last: token("last"), flush: token("flush"),
		hidden: request("GET", "/hidden-000", "X-Approov-Verdict: pass", "X-Approov-Device: hidden"),
		second: request("GET", "/second-000", token("second")),
	}
}

// post is a request with a token and these field lines, up to its body.
func (w smugglingWords) post(lines ...string) string {
	return request("POST", "/outer-000", append([]string{w.outer}, lines...)...)
}

// line is a request with a token and this request line.
func (w smugglingWords) line(first string, lines ...string) string {
	return strings.Join(append([]string{first, "Host: api.example.com", w.outer}, lines...), "\r\n") + "\r\n\r\n"
}

// length is the field that gives a body's length.
func length(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }

// chunk is text as a chunk (RFC 9112 §7.1).
func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

const (
	lastChunk = "0\r\n\r\n"
	coded     = "Transfer-Encoding: chunked"
)

func (w smugglingWords) payloads() []payload {
	return slices.Concat(w.lengthsAndCodings(), w.codings(), w.lengths(), w.chunks(), w.trailers(), w.fields(),
		w.requestLines(), w.hosts(), w.connections(), w.methods(), w.pipelines())
}

// lengthsAndCodings give a length beside the chunked coding: the coding must win, or the request be refused
// (RFC 9112 §6.3).
func (w smugglingWords) lengthsAndCodings() []payload {
	early, inside := lastChunk+w.hidden, chunk(w.hidden)+lastChunk
	return []payload{
		{name: "the length covers a request behind the last chunk", text: w.post(length(early), coded) + early, want: "outer hidden last"},
		{name: "the same, coding first", text: w.post(coded, length(early)) + early, want: "outer hidden last"},
		{name: "the same, the request has its token", text: w.post(length(lastChunk+w.second), coded) + lastChunk + w.second, want: "outer second last"},
		{name: "the length ends before a request in a chunk", text: w.post("Content-Length: 4", coded) + inside, want: "outer last"},
		{name: "the same, coding first", text: w.post(coded, "Content-Length: 4") + inside, want: "outer last"},
		{name: "the same, the request has its token", text: w.post(coded, "Content-Length: 5") + chunk(w.second) + lastChunk, want: "outer last"},
		{name: "the length is 0 beside a chunked body", text: w.post("Content-Length: 0", coded) + inside, want: "outer last"},
		{name: "the length is no number beside a chunked body", text: w.post("Content-Length: x", coded) + inside, want: "400"},
		{name: "two lengths beside a chunked body", text: w.post("Content-Length: 4", "Content-Length: 400", coded) + inside, want: "400"},
		{name: "HTTP/1.0 with length and coding", text: w.line("POST /outer-000 HTTP/1.0", "Connection: keep-alive", length(early), coded) + early, want: "outer last"},
		{name: "HTTP/1.0 with a coding alone", text: w.line("POST /outer-000 HTTP/1.0", "Connection: keep-alive", coded) + inside, want: "outer 400"},
	}
}

// codings are Transfer-Encoding fields that some server takes for chunked and another does not.
func (w smugglingWords) codings() []payload {
	early := lastChunk + w.hidden
	var all []payload
	for _, row := range []struct{ name, line, want string }{
		{"xchunked", "Transfer-Encoding: xchunked", "501"},
		{"upper case", "Transfer-Encoding: CHUNKED", "outer hidden last"},
		{"mixed case", "Transfer-Encoding: cHuNkEd", "outer hidden last"},
		{"the name in upper case", "TRANSFER-ENCODING: chunked", "outer hidden last"},
		{"no blank", "Transfer-Encoding:chunked", "outer hidden last"},
		{"two blanks", "Transfer-Encoding:  chunked", "outer hidden last"},
		{"a tab before", "Transfer-Encoding:\tchunked", "outer hidden last"},
		{"a tab behind", "Transfer-Encoding: chunked\t", "outer hidden last"},
		{"a blank behind", "Transfer-Encoding: chunked ", "outer hidden last"},
		{"a vertical tab before", "Transfer-Encoding: \vchunked", "400"},
		{"a vertical tab behind", "Transfer-Encoding: chunked\v", "400"},
		{"a form feed before", "Transfer-Encoding: \fchunked", "400"},
		{"a NUL behind", "Transfer-Encoding: chunked\x00", "400"},
		{"chunked, identity", "Transfer-Encoding: chunked, identity", "501"},
		{"identity, chunked", "Transfer-Encoding: identity, chunked", "501"},
		{"identity", "Transfer-Encoding: identity", "501"},
		{"gzip, chunked", "Transfer-Encoding: gzip, chunked", "501"},
		{"chunked, gzip", "Transfer-Encoding: chunked, gzip", "501"},
		{"chunked twice in a list", "Transfer-Encoding: chunked, chunked", "501"},
		{"a comma behind", "Transfer-Encoding: chunked,", "501"},
		{"a comma before", "Transfer-Encoding: ,chunked", "501"},
		{"double quotes", `Transfer-Encoding: "chunked"`, "501"},
		{"single quotes", "Transfer-Encoding: 'chunked'", "501"},
		{"a parameter", "Transfer-Encoding: chunked;q=1", "501"},
		{"a blank inside", "Transfer-Encoding: chun ked", "501"},
		{"a byte above ASCII behind", "Transfer-Encoding: chunked\xa0", "501"},
		{"empty", "Transfer-Encoding:", "501"},
		{"two equal lines", coded + "\r\n" + coded, "501"},
		{"two lines, chunked last", "Transfer-Encoding: identity\r\n" + coded, "501"},
		{"two lines, chunked first", coded + "\r\nTransfer-Encoding: identity", "501"},
		{"two lines, one empty", coded + "\r\nTransfer-Encoding:", "501"},
		{"folded", "Transfer-Encoding:\r\n chunked", "outer hidden last"},
		{"folded with a tab", "Transfer-Encoding:\r\n\tchunked", "outer hidden last"},
		{"folded behind another", "Transfer-Encoding: x\r\n chunked", "501"},
		{"in the fold of another field", "X-Fold: y\r\n " + coded, "outer last"},
		{"a blank before the colon", "Transfer-Encoding : chunked", "400"},
		{"a tab before the colon", "Transfer-Encoding\t: chunked", "400"},
		{"a NUL in the name", "Transfer-Encoding\x00: chunked", "400"},
		{"behind LF in another field", "X-Line: y\nTransfer-Encoding: chunked", "outer hidden last"},
		{"behind CR in another field", "X-Line: y\rTransfer-Encoding: chunked", "400"},
		{"an underscore for the hyphen", "Transfer_Encoding: chunked", "outer last"},
	} {
		all = append(all, payload{name: "coding: " + row.name, text: w.post(length(early), row.line) + early, want: row.want})
	}
	return all
}

// lengths are Content-Length fields that servers read as different numbers.
func (w smugglingWords) lengths() []payload {
	body := w.hidden
	n := len(body)
	var all []payload
	for _, row := range []struct{ name, lines, want string }{
		{"two equal lines", fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d", n, n), "outer last"},
		{"two lines, 0 first", fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d", n), "400"},
		{"two lines, 0 last", fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0", n), "400"},
		{"two lines that differ in zeros", fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0%d", n, n), "400"},
		{"two lines, one in lower case", fmt.Sprintf("Content-Length: %d\r\ncontent-length: 0", n), "400"},
		{"two lines, one empty", fmt.Sprintf("Content-Length: %d\r\nContent-Length:", n), "400"},
		{"a list of equal numbers", fmt.Sprintf("Content-Length: %d, %d", n, n), "400"},
		{"a list of different numbers", fmt.Sprintf("Content-Length: 0, %d", n), "400"},
		{"a comma behind", fmt.Sprintf("Content-Length: %d,", n), "400"},
		{"negative", "Content-Length: -1", "400"},
		{"negative zero", "Content-Length: -0", "400"},
		{"a plus sign", fmt.Sprintf("Content-Length: +%d", n), "400"},
		{"hexadecimal", fmt.Sprintf("Content-Length: 0x%x", n), "400"},
		{"an exponent", "Content-Length: 1e2", "400"},
		{"a fraction", fmt.Sprintf("Content-Length: %d.0", n), "400"},
		{"an underscore", "Content-Length: 1_0", "400"},
		{"a blank inside", "Content-Length: 1 0", "400"},
		{"a NUL behind", fmt.Sprintf("Content-Length: %d\x00", n), "400"},
		{"a vertical tab before", fmt.Sprintf("Content-Length: \v%d", n), "400"},
		{"digits beyond ASCII", "Content-Length: ５", "400"},
		{"quoted", fmt.Sprintf(`Content-Length: "%d"`, n), "400"},
		{"leading zeros", fmt.Sprintf("Content-Length: 000%d", n), "outer last"},
		{"more than 63 bits", "Content-Length: 9223372036854775808", "400"},
		{"more than 64 bits", "Content-Length: 18446744073709551617", "400"},
		{"empty", "Content-Length:", "400"},
		{"a blank before the colon", fmt.Sprintf("Content-Length : %d", n), "400"},
		{"a tab behind", fmt.Sprintf("Content-Length: %d\t", n), "outer last"},
		{"folded", fmt.Sprintf("Content-Length:\r\n %d", n), "outer last"},
		{"a digit in a fold", fmt.Sprintf("Content-Length: %d\r\n 0", n), "400"},
		{"behind LF in another field", fmt.Sprintf("X-Line: y\nContent-Length: %d", n), "outer last"},
		{"behind CR in another field", fmt.Sprintf("X-Line: y\rContent-Length: %d", n), "400"},
		{"an underscore for the hyphen", fmt.Sprintf("Content_Length: %d", n), "outer hidden last"},
		{"none at all", "X-Length: none", "outer hidden last"},
	} {
		all = append(all, payload{name: "length: " + row.name, text: w.post(row.lines) + body, want: row.want})
	}
	return all
}
