package h1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// script is a connection that brings given bytes in pieces of a given size, then ends.
type script struct {
	net.Conn
	rest  []byte
	piece int
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.piece, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func (s *script) Close() error { return nil }

// read reads a response from bytes as RoundTrip and its caller would. kept says that the connection went
// back to the pool, rest what had not been read by then.
func read(method string, input []byte, piece int) (response *http.Response, body []byte, kept bool, rest int, err error) {
	t := &Transport{MaxIdle: 1, MaxHeaderBytes: 64 << 10}
	s := &script{rest: input, piece: piece}
	x := newExchange(t, &conn{Conn: s, born: time.Now()}, &http.Request{Method: method})
	x.reuse = true
	if err = x.readHead(); err == nil {
		err = x.frame()
	}
	if err == nil {
		body, err = io.ReadAll(x.response.Body)
		x.response.Body.Close()
	}
	return &x.response, body, t.idleCount() == 1, len(s.rest), err
}

// FuzzResponse compares with http.ReadResponse: whatever is accepted here, it accepts too and reads the
// same out of it, and a connection is kept only if it also thinks that the response ends there.
func FuzzResponse(f *testing.F) {
	seeds := []string{
		hello, again, hello + hello, "HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n",
		"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\nTrailer: x-a, B,\r\n\r\n5;e\r\nhello\r\n00  \r\nX-A: 1\r\nX-C: \t2 \r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + hello,
		"HTTP/1.1 200 OK\r\nConnection: x, close\r\nPragma: no-cache\r\nX-A: 1\r\nx-a: 2\r\nX-a:\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\nX-Long: " + strings.Repeat("a", 5000) + "\r\n\r\n" + strings.Repeat("b", 6000),
	}
	for _, seed := range seeds {
		f.Add([]byte(seed), 1<<20, false)
		f.Add([]byte(seed), 1, false)
		f.Add([]byte(seed), 3, true)
	}
	f.Fuzz(func(t *testing.T, input []byte, piece int, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		piece = max(1, piece)
		got, body, kept, rest, err := read(method, bytes.Clone(input), piece)
		if err != nil {
			if kept {
				t.Errorf("%v: got the connection kept, want it closed", err)
			}
			return
		}
		from := bytes.NewReader(input)
		buffered := bufio.NewReader(from)
		want, err := http.ReadResponse(buffered, &http.Request{Method: method})
		for err == nil && want.StatusCode < 200 && want.StatusCode != 101 {
			want, err = http.ReadResponse(buffered, &http.Request{Method: method})
		}
		if err != nil {
			t.Fatalf("got %+v, want it refused: %v", got, err)
		}
		wantBody, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatalf("got the body %q, want it refused: %v", body, err)
		}
		if !bytes.Equal(body, wantBody) {
			t.Errorf("body: got %q, want %q", body, wantBody)
		}
		if n := buffered.Buffered() + from.Len(); kept && rest != n {
			t.Errorf("rest of a kept connection: got %d bytes, want %d", rest, n)
		}
		if want.Close && (kept || !got.Close) {
			t.Errorf("got the connection kept, want it closed")
		}
		got.Close, got.Body, got.Request = want.Close, nil, nil
		want.Body, want.Request = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%#v\nwant\n%#v", got, want)
		}
	})
}

// FuzzFieldValue compares the test of eight octets at a time with the plain one.
func FuzzFieldValue(f *testing.F) {
	for _, seed := range []string{"", "plain", "\t", "0123456\x7f", "0123456\x1f89", "\x7f1234567", "é\x80\xff\x81\x9f\xa0\x20\x7e", "1234567\t\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if got, want := isFieldValue(v), isPlainValue(v); got != want {
			t.Errorf("%q: got %v, want %v", v, got, want)
		}
	})
}
