//go:build unix

package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestIdleConnections: what an upstream does to a connection between two requests, or after it has read
// the second, and what becomes of that request.
func TestIdleConnections(t *testing.T) {
	closes := func(p *peer) { p.Close() }
	closesOnRequest := func(p *peer) { p.request() }
	for _, row := range []struct {
		name, method string
		content      string
		meanwhile    func(*peer) // on the first connection, after its first answer
		sends        bool        // so that something arrives before the second request
		connections  int32
		fails        bool
	}{
		{"a GET finds its connection closed", "GET", "", closes, true, 2, false},
		{"a POST finds its connection closed before it is sent", "POST", "x", closes, true, 2, false},
		{"a GET that the upstream has read is sent again", "GET", "", closesOnRequest, false, 2, false},
		{"a HEAD that the upstream has read is sent again", "HEAD", "", closesOnRequest, false, 2, false},
		{"an OPTIONS that the upstream has read is sent again", "OPTIONS", "", closesOnRequest, false, 2, false},
		{"a GET with content that the upstream has read is not sent again", "GET", "x", closesOnRequest, false, 1, true},
		{"a POST that the upstream has read is not sent again", "POST", "x", closesOnRequest, false, 1, true},
		{"a POST without content that the upstream has read is not sent again", "POST", "", closesOnRequest, false, 1, true},
		{"a PUT that the upstream has read is not sent again", "PUT", "x", closesOnRequest, false, 1, true},
		{"a DELETE that the upstream has read is not sent again", "DELETE", "", closesOnRequest, false, 1, true},
		{"a GET that got the first byte of an answer is not sent again", "GET", "",
			func(p *peer) { p.request(); p.write("H") }, false, 1, true},
		{"an unsolicited answer is never taken for one", "GET", "",
			func(p *peer) { p.write(strings.ReplaceAll(hello, "hello", "WRONG")); p.hold() }, true, 2, false},
		{"an unsolicited byte spoils the connection", "POST", "x",
			func(p *peer) { p.write("\n"); p.hold() }, true, 2, false},
		{"a 408 on an idle connection spoils it", "GET", "",
			func(p *peer) { p.write("HTTP/1.1 408 Request Timeout\r\n\r\n"); p.Close() }, true, 2, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			served := make(chan bool)
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write(hello)
				if p.number == 1 {
					<-served
					row.meanwhile(p)
					return
				}
				p.hold()
			})
			tr := transport(t, u)
			mustGet(t, tr)
			close(served)
			if row.sends {
				eventually(t, "bytes or an end on the idle connection", func() bool { return readable(tr.idle.idle[0]) })
			}
			var body io.Reader
			if row.content != "" {
				body = strings.NewReader(row.content)
			}
			_, got, err := fetch(tr, newRequest(t, row.method, body))
			switch {
			case row.fails:
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %q, %v, want EOF", got, err)
				}
			case err != nil || got != "hello" && row.method != "HEAD":
				t.Errorf("got %q, %v, want hello", got, err)
			}
			if n := u.accepted.Load(); n != row.connections {
				t.Errorf("connections: got %d, want %d", n, row.connections)
			}
		})
	}
}

// readable reports whether a connection has bytes or has ended, and leaves it as it is.
func readable(c *conn) bool {
	found := false
	_ = c.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		found = err != syscall.EAGAIN
		return true
	})
	return found
}

func TestSecondConnectionIsNotTriedAgain(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) {
		p.request()
		if p.number == 1 {
			p.write(hello)
			p.request()
		}
	})
	tr := transport(t, u)
	mustGet(t, tr)
	if _, _, err := get(t, tr); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	if n := u.accepted.Load(); n != 2 {
		t.Errorf("connections: got %d, want 2", n)
	}
}

// Where one idle connection was dead the others probably are, too.
func TestSecondAttemptGetsANewConnection(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) {
		p.request()
		p.write(hello)
		if p.request(); p.number == 3 {
			p.hold()
		}
	})
	tr := transport(t, u)
	mustGet(t, tr)
	first := tr.idle.take(0)
	mustGet(t, tr)
	tr.idle.put(first, 8, 0)
	mustGet(t, tr)
	if n, idle := u.accepted.Load(), tr.idleCount(); n != 3 || idle != 2 {
		t.Errorf("got %d connections and %d idle, want 3 and the one that was not tried beside the new one", n, idle)
	}
}

// A reset is not always the first thing that is heard of an upstream.
func TestResetAfterAnInformationalResponseIsNotTriedAgain(t *testing.T) {
	watchLeaks(t)
	heard := make(chan bool)
	u := newUpstream(t, "tcp", func(p *peer) {
		p.request()
		p.write(hello)
		p.request()
		p.write("HTTP/1.1 103 Early Hints\r\n\r\n")
		<-heard
		_ = p.Conn.(*net.TCPConn).SetLinger(0) // its close is a reset
	})
	tr := transport(t, u)
	mustGet(t, tr)
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { close(heard); return nil },
	})
	if _, _, err := fetch(tr, newRequest(t, "GET", nil).WithContext(ctx)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if n := u.accepted.Load(); n != 1 {
		t.Errorf("connections: got %d, want 1", n)
	}
}

func TestFreshConnectionIsNotTriedAgain(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) { p.request() })
	if _, _, err := get(t, transport(t, u)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	if n := u.accepted.Load(); n != 1 {
		t.Errorf("connections: got %d, want 1", n)
	}
}

func TestPoolIsBounded(t *testing.T) {
	watchLeaks(t)
	const all, kept = 5, 2
	release := make(chan bool)
	u := newUpstream(t, "tcp", func(p *peer) {
		for p.request() != "" {
			<-release
			p.write(hello)
		}
	})
	tr := transport(t, u)
	tr.MaxIdle = kept
	ended := make(chan error, all)
	for range all {
		go func() { // ends with its answer
			_, _, err := get(t, tr)
			ended <- err
		}()
	}
	eventually(t, "all connections", func() bool { return u.accepted.Load() == all })
	close(release)
	for range all {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := tr.idleCount(); n != kept {
		t.Errorf("idle connections: got %d, want %d", n, kept)
	}
}

func TestIdleConnectionsTimeOut(t *testing.T) {
	watchLeaks(t)
	gone := make(chan bool, 1)
	u := newUpstream(t, "tcp", func(p *peer) {
		p.request()
		p.write(hello)
		p.hold()
		gone <- true
	})
	tr := transport(t, u)
	tr.IdleTimeout = 10 * time.Millisecond
	mustGet(t, tr)
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the idle connection: got it open, want it closed")
	}
	eventually(t, "an empty pool", func() bool { return tr.idleCount() == 0 })
	eventually(t, "an end of the timer", func() bool {
		tr.idle.mu.Lock()
		defer tr.idle.mu.Unlock()
		return tr.idle.sweeper == nil
	})
	mustGet(t, tr)
	if n := u.accepted.Load(); n != 2 {
		t.Errorf("connections: got %d, want 2", n)
	}
}

func TestPoolHasOneTimer(t *testing.T) {
	watchLeaks(t)
	tr := transport(t, answering(t, hello, hello, hello))
	tr.IdleTimeout = time.Hour
	mustGet(t, tr)
	first := tr.idle.sweeper
	mustGet(t, tr)
	if first == nil || tr.idle.sweeper != first {
		t.Errorf("got the timers %p and %p, want one", first, tr.idle.sweeper)
	}
	tr.CloseIdleConnections()
	if tr.idle.sweeper != nil || first.Stop() {
		t.Error("after CloseIdleConnections: got the timer running, want it stopped")
	}
}

func TestLentBuffersAreLargeEnough(t *testing.T) {
	var lent buffers
	for _, size := range []int{1, minBuffer - 1, minBuffer, minBuffer + 1, 3 * minBuffer, 128 << 10, 128<<10 + 1, 1 << 20} {
		for _, grown := range []int{0, 1, minBuffer} {
			b := lent.get(size)
			if len(b.bytes) < size {
				t.Errorf("after growth: got %d bytes, want %d", len(b.bytes), size)
			}
			b.bytes = append(b.bytes, make([]byte, grown)...)[:size] // as a user may leave it
			lent.put(b)
			if b = lent.get(size); len(b.bytes) < size {
				t.Errorf("again: got %d bytes, want %d", len(b.bytes), size)
			}
		}
	}
	if lent.put(&buffer{make([]byte, minBuffer-1)}); len(lent.get(1).bytes) < minBuffer {
		t.Error("after a short one: got less than the smallest size, want it")
	}
}

// The timer may be late; a connection that is too old is not taken all the same.
func TestOldIdleConnectionIsNotTaken(t *testing.T) {
	watchLeaks(t)
	tr := transport(t, answering(t, hello, again))
	mustGet(t, tr)
	if c := tr.idle.take(time.Nanosecond); c != nil {
		t.Error("got a connection, want none")
	}
	if n := tr.idleCount(); n != 0 {
		t.Errorf("idle connections: got %d, want none", n)
	}
}

func TestSweepKeepsTheYoung(t *testing.T) {
	watchLeaks(t)
	tr := transport(t, answering(t, hello, again))
	mustGet(t, tr)
	young := tr.idle.take(0)
	old := &conn{Conn: young.Conn, born: young.born.Add(-time.Hour)}
	tr.idle.put(young, 2, time.Hour)
	tr.idle.mu.Lock()
	tr.idle.idle = append([]*conn{old}, tr.idle.idle...)
	tr.idle.mu.Unlock()
	tr.idle.sweep(time.Minute)
	if n := tr.idleCount(); n != 1 || tr.idle.take(0) != young {
		t.Errorf("idle connections: got %d, want the young one", n)
	}
}

func TestCloseIdleConnections(t *testing.T) {
	watchLeaks(t)
	release := make(chan bool)
	u := newUpstream(t, "tcp", func(p *peer) {
		for p.request() != "" {
			if p.number == 2 {
				<-release
			}
			p.write(hello)
		}
	})
	tr := transport(t, u)
	fallback := &counter{}
	tr.Fallback = fallback
	mustGet(t, tr)
	first := tr.idle.take(0) // as if it were in use, so that the next request needs another
	ended := make(chan error, 1)
	go func() { // ends with its answer
		_, _, err := get(t, tr)
		ended <- err
	}()
	eventually(t, "a second connection", func() bool { return u.accepted.Load() == 2 })
	tr.idle.put(first, 8, 0)
	tr.CloseIdleConnections()
	if n := tr.idleCount(); n != 0 || fallback.closed != 1 {
		t.Errorf("got %d idle connections, Fallback closed %d times, want none and 1", n, fallback.closed)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := tr.idleCount(); n != 0 {
		t.Errorf("after the last answer: got %d idle connections, want none", n)
	}
	mustGet(t, tr) // which opens it again
	if n := tr.idleCount(); n != 1 {
		t.Errorf("after the next answer: got %d idle connections, want 1", n)
	}
}

func TestUnixSocket(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "unix", func(p *peer) {
		for p.request() != "" {
			p.write(hello)
		}
	})
	tr := transport(t, u)
	mustGet(t, tr)
	mustGet(t, tr)
	if n := u.accepted.Load(); n != 1 {
		t.Errorf("connections: got %d, want 1", n)
	}
}
