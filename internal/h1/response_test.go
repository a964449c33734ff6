package h1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// again is what a connection answers to the request after the one that is tested.
const again = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"

func TestResponses(t *testing.T) {
	for _, row := range []struct {
		name, method, answer string
		status               int
		body                 string
		length               int64
		reused               bool
	}{
		{"a response of known length is read and its connection reused", "GET", hello, 200, "hello", 5, true},
		{"a response without content is read and its connection reused", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", 0, true},
		{"a status line without a reason is read", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", 0, true},
		{"an unknown status is read", "GET", "HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", 799, "", 0, true},
		{"equal lengths are one", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, true},
		{"chunks are put together and the connection is reused", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n003\r\nllo\r\n0\r\n\r\n", 200, "hello", -1, true},
		{"the coding's letter case does not matter", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", -1, true},
		{"chunk extensions are dropped", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", 200, "hello", -1, true},
		{"a padded chunk size is read", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0\r\n\r\n", 200, "hello", -1, true},
		{"a response without a length ends with its connection", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", -1, false},
		{"an upstream that closes is believed", "GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, false},
		{"HTTP/1.0 is not kept", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, false},
		{"HTTP/1.0 without a length ends with its connection", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", -1, false},
		{"HEAD has the length of a GET and no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", 5, true},
		{"HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, "", -1, true},
		{"HEAD of a chunked response", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", -1, true},
		{"HEAD with a body nevertheless ends the connection", "HEAD", hello, 200, "", 5, false},
		{"204 has no body", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, true},
		{"204 that announces content ends the connection", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, "", 0, false},
		{"204 that announces chunks ends the connection", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", 0, false},
		{"304 may have the length of a 200", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", 0, true},
		{"100 is not reported and does not count", "GET", "HTTP/1.1 100 Continue\r\n\r\n" + hello, 200, "hello", 5, true},
		{"bytes after a response end the connection", "GET", hello + "x", 200, "hello", 5, false},
		{"a second response that nobody asked for ends the connection", "GET", hello + hello, 200, "hello", 5, false},
		{"bytes after the last chunk end the connection", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", 200, "", -1, false},
		{"values keep their inner blanks and lose the outer ones", "GET", "HTTP/1.1 200 OK\r\nX-A: \t b  c \t\r\ncontent-length:5\r\n\r\nhello", 200, "hello", 5, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			u := answering(t, row.answer, again)
			if row.length == -1 && !row.reused && !strings.Contains(row.answer, "chunked") {
				u = answering(t, row.answer) // which ends with the connection
			}
			tr := transport(t, u)
			response, body, err := fetch(tr, newRequest(t, row.method, nil))
			if err != nil || response.StatusCode != row.status || body != row.body || response.ContentLength != row.length {
				t.Fatalf("got %+v, %q, %v, want %d, %q, length %d", response, body, err, row.status, row.body, row.length)
			}
			if got := tr.idleCount() == 1; got != row.reused {
				t.Errorf("connection kept: got %v, want %v", got, row.reused)
			}
			if value := response.Header["X-A"]; value != nil && value[0] != "b  c" {
				t.Errorf("X-A: got %q, want %q", value[0], "b  c")
			}
			if row.reused {
				if _, body, err := get(t, tr); err != nil || body != "again" || u.accepted.Load() != 1 {
					t.Errorf("second request: got %q, %v on connection %d, want again on the first", body, err, u.accepted.Load())
				}
			}
		})
	}
}

// A secret in each refused response shows whether an error quotes it.
const secretOfUpstream = "echoed-token"

func TestRefusedResponses(t *testing.T) {
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, row := range []struct{ name, answer string }{
		{"another protocol", "SSH-2.0-" + secretOfUpstream + "\r\n"},
		{"an empty line first", "\r\n" + hello},
		{"HTTP/2 in the status line", "HTTP/2.0 200 OK\r\n\r\n"},
		{"a version to come", "HTTP/1.2 200 OK\r\n\r\n"},
		{"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
		{"a status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
		{"a signed status", "HTTP/1.1 +20 OK\r\n\r\n"},
		{"two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n"},
		{"a control character in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n"},
		{"a bare CR in the status line", "HTTP/1.1 200 O\rK\r\n\r\n"},
		{"a bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
		{"a bare LF after a field", ok + "X-A: b\nContent-Length: 0\r\n\r\n"},
		{"bare LFs for an empty line", ok + "Content-Length: 0\n\n"},
		{"a bare CR in a value", ok + "X-A: b\rc\r\n\r\n"},
		{"NUL in a value", ok + "X-A: b\x00c\r\n\r\n"},
		{"DEL in a long value", ok + "X-A: 0123456789\x7f0123456789\r\n\r\n"},
		{"a folded field", ok + "X-A: b\r\n c\r\n\r\n"},
		{"a first field that begins with a blank", ok + " X-A: b\r\n\r\n"},
		{"a blank before the colon", ok + "X-A : " + secretOfUpstream + "\r\n\r\n"},
		{"no colon", ok + secretOfUpstream + "\r\n\r\n"},
		{"no name", ok + ": b\r\n\r\n"},
		{"a name that is no token", ok + "X(A): b\r\n\r\n"},
		{"a length that is no number", ok + "Content-Length: " + secretOfUpstream + "\r\n\r\n"},
		{"a negative length", ok + "Content-Length: -1\r\n\r\n"},
		{"a signed length", ok + "Content-Length: +5\r\n\r\nhello"},
		{"a hexadecimal length", ok + "Content-Length: 0x5\r\n\r\nhello"},
		{"an empty length", ok + "Content-Length:\r\n\r\n"},
		{"a list of lengths", ok + "Content-Length: 5, 5\r\n\r\nhello"},
		{"a length beyond 63 bits", ok + "Content-Length: 9223372036854775808\r\n\r\n"},
		{"different lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
		{"different spellings of a length", ok + "Content-Length: 5\r\nContent-Length: 05\r\n\r\nhello"},
		{"both length and chunks", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"another coding", ok + "Transfer-Encoding: gzip\r\n\r\n"},
		{"a list of codings", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"two lines of codings", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"an empty coding", ok + "Transfer-Encoding:\r\n\r\n"},
		{"the Kelvin sign in chunked", ok + "Transfer-Encoding: chun\u212Aed\r\n\r\n0\r\n\r\n"},
		{"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"an announced trailer that frames the message", ok + "Transfer-Encoding: chunked\r\nTrailer: content-length\r\n\r\n0\r\n\r\n"},
		{"an announced trailer that is no token", ok + "Transfer-Encoding: chunked\r\nTrailer: a b\r\n\r\n0\r\n\r\n"},
		{"a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"},
		{"an informational response with content", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + hello},
		{"too many informational responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInformational+1) + hello},
		{"too many fields", ok + strings.Repeat("A: b\r\n", maxFields+1) + "\r\n"},
		{"a header beyond the bound", ok + "X-A: " + strings.Repeat("a", 8<<10) + "\r\n\r\n"},
		{"a header without end", ok + "X-A: " + strings.Repeat("a", 1<<20)},
		{"an empty chunk size", chunked + "\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size that is no number", chunked + secretOfUpstream + "\r\nhello\r\n0\r\n\r\n"},
		{"a blank before a chunk size", chunked + " 5\r\nhello\r\n0\r\n\r\n"},
		{"a signed chunk size", chunked + "+5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size with a prefix", chunked + "0x5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size beyond 60 bits", chunked + "1000000000000000\r\nhello\r\n0\r\n\r\n"},
		{"a blank before a chunk extension", chunked + "5 ;a\r\nhello\r\n0\r\n\r\n"},
		{"a control character in a chunk extension", chunked + "5;a\x00\r\nhello\r\n0\r\n\r\n"},
		{"a bare LF after a chunk size", chunked + "5\nhello\r\n0\r\n\r\n"},
		{"a bare CR in a chunk extension", chunked + "5;\r;\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size line without end", chunked + "5;" + strings.Repeat("a", 2*maxChunkLine)},
		{"chunk extensions without end", chunked + strings.Repeat("1;"+strings.Repeat("a", 500)+"\r\nx\r\n", 100) + "0\r\n\r\n"},
		{"a chunk longer than its size", chunked + "5\r\nhelloo\r\n0\r\n\r\n"},
		{"a chunk without a line end", chunked + "5\r\nhelloxx0\r\n\r\n"},
		{"a bare LF after a chunk", chunked + "5\r\nhello\n0\r\n\r\n"},
		{"trailers beyond the bound", chunked + "0\r\nX-A: " + strings.Repeat("a", maxTrailerBytes) + "\r\n\r\n"},
		{"trailers without end", chunked + "0\r\n" + strings.Repeat("X-A: a\r\n", 10<<10)},
		{"a trailer that frames the message", chunked + "0\r\nContent-Length: 5\r\n\r\n"},
		{"a trailer with a blank before its colon", chunked + "0\r\nX-A : 5\r\n\r\n"},
		{"a folded trailer", chunked + "0\r\nX-A: 5\r\n 6\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write(row.answer)
				p.hold() // a refusal must not need the upstream to close
			})
			tr := transport(t, u)
			tr.MaxHeaderBytes = 6 << 10
			_, body, err := get(t, tr)
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %q, %v, want ErrMalformed", body, err)
			}
			if strings.Contains(err.Error(), secretOfUpstream) {
				t.Errorf("error: got %q, want nothing of what the upstream sent", err)
			}
			if n := tr.idleCount(); n != 0 {
				t.Errorf("idle connections: got %d, want none", n)
			}
		})
	}
}

func TestCutResponses(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		want         error
	}{
		{"no answer at all", "", io.EOF},
		{"a cut header", "HTTP/1.1 200 OK\r\nContent-", io.ErrUnexpectedEOF},
		{"nothing after 103", "HTTP/1.1 103 Early Hints\r\n\r\n", io.ErrUnexpectedEOF},
		{"no body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", io.ErrUnexpectedEOF},
		{"a cut body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", io.ErrUnexpectedEOF},
		{"no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", io.ErrUnexpectedEOF},
		{"a cut chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5", io.ErrUnexpectedEOF},
		{"a cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell", io.ErrUnexpectedEOF},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", io.ErrUnexpectedEOF},
		{"no end of trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", io.ErrUnexpectedEOF},
		{"a cut trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\n", io.ErrUnexpectedEOF},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			tr := transport(t, answering(t, row.answer))
			_, _, err := get(t, tr)
			if !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if n := tr.idleCount(); n != 0 {
				t.Errorf("idle connections: got %d, want none", n)
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	u := answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, X-Never\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 15\r\nX-More: a\r\nX-More: b\r\n\r\n")
	tr := transport(t, u)
	response, err := tr.RoundTrip(newRequest(t, "GET", nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(response.Trailer, response.Header), "map[X-Never:[] X-Sum:[]] map[]"; got != want {
		t.Errorf("before the body: got %s, want %s", got, want)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "hello" {
		t.Fatalf("got %q, %v, want hello", body, err)
	}
	if got, want := fmt.Sprint(response.Trailer), "map[X-More:[a b] X-Never:[] X-Sum:[15]]"; got != want {
		t.Errorf("after the body: got %s, want %s", got, want)
	}
}

func TestInformationalResponses(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	stop := errors.New("stop")
	for _, row := range []struct {
		name string
		fail error
		want string
	}{{"they are reported in order", nil, "[102 103 </a>]"}, {"who hears of them can end it", stop, "[102]"}} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			tr := transport(t, answering(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"+hints+hello))
			var got []string
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(code))
				got = append(got, header["Link"]...)
				return row.fail
			}})
			_, _, err := fetch(tr, newRequest(t, "GET", nil).WithContext(ctx))
			if !errors.Is(err, row.fail) || fmt.Sprint(got) != row.want {
				t.Errorf("got %v, %v, want %v, %v", got, err, row.want, row.fail)
			}
		})
	}
}

func TestErrorsCanBeToldApart(t *testing.T) {
	t.Run("a dial error passes as it is", func(t *testing.T) {
		want := &net.OpError{Op: "dial", Err: errors.New("refused")}
		tr := &Transport{Dial: func(context.Context) (net.Conn, error) { return nil, want }}
		if _, _, err := get(t, tr); err != error(want) {
			t.Errorf("got %v, want %v", err, want)
		}
	})
	t.Run("a reset is an error of the connection", func(t *testing.T) {
		tr := transport(t, newUpstream(t, "tcp", func(p *peer) {
			p.request()
			p.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			_ = p.Conn.(*net.TCPConn).SetLinger(0) // its close is a reset
		}))
		_, _, err := get(t, tr)
		var op *net.OpError
		if !errors.As(err, &op) {
			t.Errorf("got %v, want a net.OpError", err)
		}
	})
	t.Run("a connection that is not the system's is refused", func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		tr := &Transport{Dial: func(context.Context) (net.Conn, error) { return near, nil }}
		if _, _, err := get(t, tr); err == nil {
			t.Error("got nil, want an error")
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection: got %v, want it closed", err)
		}
	})
}

var _ http.RoundTripper = (*Transport)(nil)
