package proxy

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// tap is a backend below HTTP that keeps every byte of every connection. It answers the requests that it
// finds by reading to the letter: 200 with the request's own path as the body.
type tap struct {
	t        *testing.T
	listener net.Listener
	running  sync.WaitGroup // the accept loop and one goroutine for each connection; all end with close
	mu       sync.Mutex
	conns    []*tapped     // guarded by mu
	changed  chan struct{} // guarded by mu; closed and replaced by every read
}

// tapped is one connection of a tap.
type tapped struct {
	net.Conn
	stream   string // all that came, guarded by the tap's mu
	answered int    // requests, by their number
	expected int    // requests that got a 100 (Continue), by their number
}

func newTap(t *testing.T) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &tap{t: t, listener: l, changed: make(chan struct{})}
	b.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c := &tapped{Conn: conn}
			b.mu.Lock()
			b.conns = append(b.conns, c)
			b.mu.Unlock()
			b.running.Go(func() { b.serve(c) })
		}
	})
	t.Cleanup(b.close)
	return b
}

// close ends the listener and waits for the connections, which their peer or a deadline ends.
func (b *tap) close() {
	b.listener.Close()
	b.running.Wait()
}

// serve reads a connection to its end.
func (b *tap) serve(c *tapped) {
	defer c.Close()
	buffer := make([]byte, 64<<10)
	for open := true; open; {
		_ = c.SetReadDeadline(time.Now().Add(3 * patience)) // fails only on a closed connection, which Read tells
		n, err := c.Read(buffer)
		b.mu.Lock()
		c.stream += string(buffer[:n])
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		open = err == nil && c.answer()
	}
}

// answer answers what is complete and unanswered, and reports whether the connection goes on. It ends behind a
// request to a path that begins with /flush, so that each payload meets a connection of its own.
func (c *tapped) answer() bool {
	for i, r := range (reading{}).requests(c.stream) {
		if i < c.answered {
			continue
		}
		if !r.whole {
			if i == c.expected && len(r.values("expect")) > 0 {
				c.expected++
				_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n") // a failure shows in the next read
			}
			return true
		}
		c.answered, c.expected = i+1, i+1
		body, more := r.path(), ""
		last := strings.HasPrefix(body, "/flush")
		if last {
			more = "Connection: close\r\n"
		}
		text := "HTTP/1.1 200 OK\r\n" + more + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
		if r.method != "HEAD" {
			text += body
		}
		_, _ = io.WriteString(c, text)
		if last {
			return false
		}
	}
	return true
}

// wait returns when some connection has got text.
func (b *tap) wait(text string) {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		for _, stream := range b.streams() {
			if strings.Contains(stream, text) {
				return
			}
		}
		select {
		case <-changed:
		case <-deadline:
			b.t.Fatalf("backend: got no %q, want it", text)
		}
	}
}

// streams are what the connections have got so far.
func (b *tap) streams() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]string, 0, len(b.conns))
	for _, c := range b.conns {
		all = append(all, c.stream)
	}
	return all
}
