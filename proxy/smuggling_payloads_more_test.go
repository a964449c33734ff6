package proxy

import (
	"fmt"
	"strings"
)

// chunks are chunked bodies whose end servers find in different places.
func (w smugglingWords) chunks() []payload {
	n := len(w.hidden)
	var all []payload
	for _, row := range []struct{ name, body, want string }{
		{"a request in an extension's value", "1;a=\"\r\n" + w.hidden + "\"\r\nx\r\n" + lastChunk, "400"},
		{"an extension", "1;a=b\r\nx\r\n" + lastChunk + w.hidden, "outer hidden last"},
		{"an extension without a name", "1;\r\nx\r\n" + lastChunk + w.hidden, "outer hidden last"},
		{"an extension that ends in LF", fmt.Sprintf("2;\nxx\r\n%x\r\n0\r\n\r\n%s\r\n0\r\n\r\n", n+5, w.hidden), "400"},
		{"an extension with CR in it", fmt.Sprintf("2;\rxx\r\n%x\r\n0\r\n\r\n%s\r\n0\r\n\r\n", n+5, w.hidden), "400"},
		{"an extension with NUL in it", "1;\x00\r\nx\r\n" + lastChunk + w.hidden, "outer hidden last"},
		{"an extension on the last chunk", "1\r\nx\r\n0;a=b\r\n\r\n" + w.hidden, "outer hidden last"},
		{"an extension of 20 KB", "1;" + strings.Repeat("a", 20<<10) + "\r\nx\r\n" + lastChunk + w.hidden, "400"},
		{"a size of nothing", "\r\n" + w.hidden + "\r\n" + lastChunk, "400"},
		{"a size with 0x", fmt.Sprintf("0x%x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a size with an underscore", fmt.Sprintf("0_%x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a size with a sign", fmt.Sprintf("+%x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a negative size", "-1\r\n" + w.hidden + "\r\n" + lastChunk, "400"},
		{"a blank before the size", fmt.Sprintf(" %x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a blank behind the size", fmt.Sprintf("%x \r\n%s\r\n", n, w.hidden) + lastChunk, "outer last"},
		{"a tab behind the size", fmt.Sprintf("%x\t\r\n%s\r\n", n, w.hidden) + lastChunk, "outer last"},
		{"a blank in the size", "1 0\r\n" + w.hidden + "\r\n" + lastChunk, "400"},
		{"leading zeros", fmt.Sprintf("0000%x\r\n%s\r\n", n, w.hidden) + lastChunk, "outer last"},
		{"a size of 17 digits", fmt.Sprintf("%017x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a size beyond 64 bits", fmt.Sprintf("1%016x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a size of all ones", "ffffffffffffffff\r\n" + w.hidden + "\r\n" + lastChunk, ""},
		{"a size that is no number", "g\r\n" + w.hidden + "\r\n" + lastChunk, "400"},
		{"a size with NUL behind", fmt.Sprintf("%x\x00\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a size that ends in LF", fmt.Sprintf("%x\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"a size that ends in CR", fmt.Sprintf("%x\r%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"data longer than its size", "1\r\n" + w.hidden + "\r\n" + lastChunk, "400"},
		{"data shorter than its size", fmt.Sprintf("%x\r\n%s\r\n", n+3, w.hidden) + lastChunk, "400"},
		{"data that no CRLF ends", fmt.Sprintf("1\r\nx%x\r\n%s\r\n", n, w.hidden) + lastChunk, "400"},
		{"data that LF ends", "1\r\nx\n" + chunk(w.hidden) + lastChunk, "400"},
		{"a last chunk that LF ends", "1\r\nx\r\n0\n\n" + w.hidden, "400"},
		{"a last chunk with many zeros", "1\r\nx\r\n0000000\r\n\r\n" + w.hidden, "outer hidden last"},
		{"a request right behind the last chunk's size", "1\r\nx\r\n0\r\n" + w.hidden, "400"},
		{"a request in two chunks", chunk(w.hidden[:20]) + chunk(w.hidden[20:]) + lastChunk, "outer last"},
		{"a request in chunks of one byte", oneByteChunks(w.hidden) + lastChunk, "outer last"},
	} {
		all = append(all, payload{name: "chunk: " + row.name, text: w.post(coded) + row.body, want: row.want, cut: row.want == ""})
	}
	return append(all,
		payload{name: "chunk: no last chunk", text: w.post(coded) + chunk(w.hidden), cut: true},
		payload{name: "chunk: a last chunk without its empty line", text: w.post(coded) + chunk(w.hidden) + "0\r\n", cut: true},
		payload{name: "a body that breaks off", text: w.post("Content-Length: 1000000") + w.hidden, cut: true})
}

func oneByteChunks(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteString(chunk(text[i : i+1]))
	}
	return b.String()
}

// trailers repeat behind the body what belongs before it.
func (w smugglingWords) trailers() []payload {
	var all []payload
	for _, row := range []struct{ name, line, want, announced string }{
		{"a token", w.last, "outer last", "outer last"},
		{"a host", "Host: other.example", "outer last", "outer last"},
		{"a length", "Content-Length: 5", "outer last", "400"},
		{"a coding", coded, "outer last", "400"},
		{"a verdict", "X-Approov-Verdict: fail", "outer last", "outer last"},
		{"a connection option", "Connection: X-Approov-Verdict", "outer last", "outer last"},
		{"a request line", "GET /hidden-000 HTTP/1.1", "400", "400"},
		{"a name with a blank", "X y: z", "outer last", "outer last"},
	} {
		body := chunk("x") + "0\r\n" + row.line + "\r\n\r\n"
		name, _, _ := strings.Cut(row.line, ":")
		all = append(all,
			payload{name: "trailer: " + row.name, text: w.post(coded) + body + w.hidden, want: withHidden(row.want)},
			payload{name: "trailer: " + row.name + ", announced", text: w.post(coded, "Trailer: "+name) + body, want: row.announced})
	}
	return all
}

// fields are header lines that servers cut differently.
func (w smugglingWords) fields() []payload {
	var all []payload
	for _, row := range []struct{ name, lines, want string }{
		{"an empty name", ": x", "400"},
		{"a blank for a name", " : x", "refused last"},
		{"no colon", "X-Nothing", "400"},
		{"a blank before the colon", "X-Blank : y", "400"},
		{"a name with a blank", "X Blank: y", "400"},
		{"a name with a slash", "X/Y: y", "400"},
		{"a name with parentheses", "X(y): y", "400"},
		{"a name beyond ASCII", "X-é: y", "400"},
		{"a name with a NUL", "X\x00Y: y", "400"},
		{"a value with a NUL", "X-Y: a\x00b", "400"},
		{"a value with DEL", "X-Y: a\x7fb", "400"},
		{"a value with an escape", "X-Y: a\x1b[31mb", "400"},
		{"a value with CR", "X-Y: a\rb", "400"},
		{"a value that ends in CR", "X-Y: a\r", "400"},
		{"a value with LF and a request", "X-Y: a\n\nGET /hidden-000 HTTP/1.1\nHost: a", "outer hidden last"},
		{"a value with CR and a request", "X-Y: a\r\rGET /hidden-000 HTTP/1.1\rHost: a", "400"},
		{"a fold with a request", "X-Y: a\r\n GET /hidden-000 HTTP/1.1\r\n Host: a", "outer last"},
		{"an empty fold", "X-Y: a\r\n \r\n Host: b", "outer last"},
		{"the token twice", w.last, "refused last"},
		{"a second, folded token", "Approov-Token:\r\n x", "refused last"},
		{"a token header with a blank before the colon", "Approov-Token : x", "400"},
		{"a token header with a NUL", "Approov-Token\x00: x", "400"},
		{"aliases of the token header", "Approov_Token: x\r\nApproov.Token: y", "outer last"},
	} {
		all = append(all, payload{name: "field: " + row.name, text: w.post(row.lines), want: row.want})
	}
	lineFeeds := strings.ReplaceAll(w.post(), "\r\n", "\n")
	carriage := strings.ReplaceAll(w.post(), "\r\n", "\r")
	return append(all,
		payload{name: "field: the first is folded", text: "GET /outer-000 HTTP/1.1\r\n X: y\r\nHost: a\r\n" + w.outer + "\r\n\r\n", want: "400"},
		payload{name: "all lines end in LF", text: lineFeeds + strings.ReplaceAll(w.hidden, "\r\n", "\n"), want: "outer hidden last"},
		payload{name: "all lines end in CR", text: carriage, want: "400"},
		payload{name: "the head ends in LF LF", text: strings.TrimSuffix(w.post("Content-Length: 0"), "\r\n\r\n") + "\n\n" + w.hidden, want: "outer hidden last"},
		payload{name: "the head ends in CR CR", text: strings.TrimSuffix(w.post("Content-Length: 0"), "\r\n\r\n") + "\r\r" + w.hidden, want: "400"},
		payload{name: "the head ends in LF CR LF", text: strings.TrimSuffix(w.post(), "\r\n\r\n") + "\n\r\n" + w.hidden, want: "outer hidden last"})
}
