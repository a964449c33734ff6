package h1

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// TestBodiesStream: what has been sent can be read before more is.
func TestBodiesStream(t *testing.T) {
	for _, row := range []struct{ name, header, before, after, end string }{
		{"of known length", "Content-Length: 12\r\n\r\n", "", "", ""},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n", "4\r\n", "\r\n", "0\r\n\r\n"},
		{"within a chunk", "Transfer-Encoding: chunked\r\n\r\nc\r\n", "", "", "\r\n0\r\n\r\n"},
		{"without a length", "\r\n", "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			next := make(chan bool)
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write("HTTP/1.1 200 OK\r\n" + row.header)
				for _, part := range []string{"one ", "two ", "six "} {
					<-next
					p.write(row.before + part + row.after)
				}
				<-next
				p.write(row.end)
			})
			response, err := transport(t, u).RoundTrip(newRequest(t, "GET", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			for _, want := range []string{"one ", "two ", "six "} {
				next <- true
				part := make([]byte, 64)
				n, err := io.ReadAtLeast(response.Body, part, len(want))
				if err == io.EOF && row.end == "" && want == "six " {
					err = nil // the last bytes may bring the end
				}
				if err != nil || string(part[:n]) != want {
					t.Fatalf("got %q, %v, want %q", part[:n], err, want)
				}
			}
			next <- true
			if rest, err := io.ReadAll(response.Body); err != nil || len(rest) != 0 {
				t.Errorf("rest: got %q, %v, want none", rest, err)
			}
		})
	}
}

// TestReadSizes reads bodies whose every part arrives alone through buffers of many sizes.
func TestReadSizes(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	var chunked strings.Builder
	for rest, n := content, 1; len(rest) > 0; n = n*3 + 1 {
		n = min(n, len(rest))
		fmt.Fprintf(&chunked, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	for _, row := range []struct{ name, answer string }{
		{"of known length", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(content), content)},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked.String() + "0\r\nX-A: b\r\n\r\n"},
		{"without a length", fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", content)},
	} {
		for _, pieces := range []int{1, 7, 1000, len(content) * 2} { // that the upstream writes
			sizes := []int{1, 100, 2047, 2048, 5000, 32 << 10} // of the reader's buffer
			if pieces == 1 {
				sizes = sizes[3:4] // one does, since each takes ten thousand system calls
			}
			for _, size := range sizes {
				t.Run(fmt.Sprintf("%s in pieces of %d read by %d", row.name, pieces, size), func(t *testing.T) {
					u := newUpstream(t, "tcp", func(p *peer) {
						p.request()
						for rest := row.answer; rest != ""; {
							n := min(pieces, len(rest))
							p.write(rest[:n])
							rest = rest[n:]
						}
					})
					response, err := transport(t, u).RoundTrip(newRequest(t, "GET", nil))
					if err != nil {
						t.Fatal(err)
					}
					defer response.Body.Close()
					var got bytes.Buffer
					if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{response.Body}, make([]byte, size)); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got.Bytes(), content) {
						t.Errorf("got %d bytes, want the %d that were sent", got.Len(), len(content))
					}
				})
			}
		}
	}
}

func TestBodyKeepsTheRulesOfReaders(t *testing.T) {
	for _, answer := range []string{hello, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello"} {
		response, err := transport(t, answering(t, answer)).RoundTrip(newRequest(t, "GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(response.Body, []byte("hello")); err != nil {
			t.Error(err)
		}
		if n, err := response.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: got %d, %v, want EOF", n, err)
		}
		response.Body.Close()
	}
}

// TestEndOfBodyComesWithItsLastBytes, so that the connection is free before its user asks again.
func TestEndOfBodyComesWithItsLastBytes(t *testing.T) {
	for _, answer := range []string{hello, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"} {
		tr := transport(t, answering(t, answer, hello))
		response, err := tr.RoundTrip(newRequest(t, "GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		n, err := response.Body.Read(make([]byte, 5))
		if n != 5 || err != io.EOF || tr.idleCount() != 1 {
			t.Errorf("got %d bytes, %v, %d idle connections, want 5, EOF and 1", n, err, tr.idleCount())
		}
		response.Body.Close()
		mustGet(t, tr)
	}
}

// TestLongBodiesNeedNoMemory streams much more than the process may use.
func TestLongBodiesNeedNoMemory(t *testing.T) {
	const length = 1 << 30
	for _, row := range []struct {
		name, header string
		write        func(w io.Writer, part []byte) error
		end          string
	}{
		{"of known length", fmt.Sprintf("Content-Length: %d\r\n\r\n", length), func(w io.Writer, part []byte) error {
			_, err := w.Write(part)
			return err
		}, ""},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n", func(w io.Writer, part []byte) error {
			_, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(part), part)
			return err
		}, "0\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write("HTTP/1.1 200 OK\r\n" + row.header)
				part := make([]byte, 1<<20)
				for sent := int64(0); sent < length; sent += int64(len(part)) {
					if row.write(p, part) != nil {
						return // the reader fails
					}
				}
				p.write(row.end)
				p.hold()
			})
			tr := transport(t, u)
			req := newRequest(t, "GET", nil)
			response, err := tr.RoundTrip(req.WithContext(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{response.Body}, make([]byte, 256<<10))
			if err != nil || n != length || tr.idleCount() != 1 {
				t.Fatalf("got %d bytes, %v, %d idle connections, want %d and 1", n, err, tr.idleCount(), length)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 8<<20 {
				t.Errorf("heap: got %d bytes more, want less than 8 MiB", grown)
			}
		})
	}
}
