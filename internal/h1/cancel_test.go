package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

var errCause = errors.New("the client is gone")

// TestCancellation ends a request's context in every phase of its exchange.
func TestCancellation(t *testing.T) {
	const header = "HTTP/1.1 200 OK\r\n"
	for _, row := range []struct {
		name   string
		answer string // that has been sent when the context ends
		inBody bool   // RoundTrip has returned by then
	}{
		{"while it waits for an answer", "", false},
		{"within the header", header + "X-A", false},
		{"after an informational response", "HTTP/1.1 103 Early Hints\r\n\r\n", false},
		{"before the body", header + "Content-Length: 5\r\n\r\n", true},
		{"within a body of known length", header + "Content-Length: 5\r\n\r\nhell", true},
		{"within a chunked body", header + "Transfer-Encoding: chunked\r\n\r\n5\r\nhell", true},
		{"before a chunk", header + "Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n", true},
		{"within the trailers", header + "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A", true},
		{"within a body without a length", header + "\r\nhell", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			sent, gone := make(chan bool), make(chan bool)
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write(row.answer)
				close(sent)
				p.hold()
				close(gone)
			})
			tr := transport(t, u)
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			returned, ended := make(chan bool, 1), make(chan error, 1)
			go func() { // ends with the context
				response, err := tr.RoundTrip(newRequest(t, "GET", nil).WithContext(ctx))
				if err == nil {
					returned <- true
					_, err = io.ReadAll(response.Body)
				}
				ended <- err
			}()
			<-sent
			if row.inBody {
				<-returned
			}
			cancel(errCause)
			wantSoon(t, "the request", ended, errCause)
			<-gone // or the test would hang
			if n := tr.idleCount(); n != 0 {
				t.Errorf("idle connections: got %d, want none", n)
			}
		})
	}
}

// wantSoon waits for an error.
func wantSoon(t *testing.T, what string, ended <-chan error, want error) {
	t.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s: got it still running, want %v", what, want)
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	u := answering(t, hello)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	_, _, err := fetch(transport(t, u), newRequest(t, "GET", nil).WithContext(ctx))
	if !errors.Is(err, errCause) || u.accepted.Load() != 0 {
		t.Errorf("got %v and %d connections, want %v and none", err, u.accepted.Load(), errCause)
	}
}

func TestCancellationOfAWriteThatIsStuck(t *testing.T) {
	watchLeaks(t)
	stop := make(chan bool)
	u := newUpstream(t, "tcp", func(*peer) { <-stop }) // reads nothing
	t.Cleanup(func() { close(stop) })
	tr := transport(t, u)
	tr.Dial = smallBuffers(u)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { // ends with the context
		_, _, err := fetch(tr, newRequest(t, "POST", strings.NewReader(strings.Repeat("x", MaxContent))).WithContext(ctx))
		ended <- err
	}()
	eventually(t, "a connection", func() bool { return u.accepted.Load() == 1 })
	cancel(errCause)
	wantSoon(t, "the request", ended, errCause)
}

// smallBuffers dials u so that a request of the longest kind does not fit into the system's buffers.
func smallBuffers(u *upstream) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := u.dial(ctx)
		if err == nil {
			err = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
		return conn, err
	}
}

// A context that ends after the response has been read must not hurt the connection's next user.
func TestLateCancellationIsHarmless(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) {
		for p.request() != "" {
			p.write(hello)
		}
	})
	tr := transport(t, u)
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel() // beside the end of the exchange, or any other moment of it
		_, body, err := fetch(tr, newRequest(t, "GET", nil).WithContext(ctx))
		if err == nil && body != "hello" || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("got %q, %v, want hello or a cancellation", body, err)
		}
		cancel()
		mustGet(t, tr)
	}
}

// A context that outlives its requests must not gather what watches it.
func TestContextIsNotWatchedAfterwards(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		use          func(*http.Response) error
	}{
		{"a body that came with the header", hello, func(*http.Response) error { return nil }},
		{"a body that is read to its end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", func(r *http.Response) error {
			_, err := io.ReadAll(r.Body)
			return err
		}},
		{"a body that is closed before its end", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", func(r *http.Response) error { return r.Body.Close() }},
		{"a refused response", "nonsense", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := &watchedContext{Context: t.Context(), done: make(chan struct{})}
			u := answering(t, row.answer)
			tr := transport(t, u)
			tr.Dial = func(context.Context) (net.Conn, error) { return u.dial(context.Background()) } // a dialer watches, too
			response, err := tr.RoundTrip(newRequest(t, "GET", nil).WithContext(ctx))
			if row.use != nil && err == nil {
				err = row.use(response)
			}
			if (err == nil) != (row.use != nil) {
				t.Errorf("got %v", err)
			}
			if ctx.began != 1 || ctx.stopped != 1 {
				t.Errorf("got %d watches and %d ends, want 1 each", ctx.began, ctx.stopped)
			}
		})
	}
}

// watchedContext counts the functions that wait for its end; context.AfterFunc asks it.
type watchedContext struct {
	context.Context
	done           chan struct{} // of its own, since package context would see through it
	began, stopped int
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.began++
	return sync.OnceValue(func() bool { c.stopped++; return true })
}

func TestDeadlineServesSeveralExchanges(t *testing.T) {
	tr := transport(t, answering(t, hello, hello))
	tr.ResponseHeaderTimeout = time.Hour
	mustGet(t, tr)
	c := tr.idle.idle[0]
	first := c.deadline
	mustGet(t, tr)
	if c.deadline != first || first < time.Hour {
		t.Errorf("deadline: got %v, then %v, want one, after an hour", first, c.deadline)
	}
	c.born = c.born.Add(-10 * time.Minute) // the next exchange comes later
	if err := c.allow(time.Hour); err != nil {
		t.Fatal(err)
	}
	if c.deadline < time.Hour+10*time.Minute {
		t.Errorf("later: got %v, want at least an hour from then", c.deadline)
	}
}

func TestResponseHeaderTimeout(t *testing.T) {
	for _, row := range []struct{ name, answer string }{
		{"an upstream that says nothing", ""},
		{"an upstream that does not finish its header", "HTTP/1.1 200 OK\r\nX-A: "},
		{"an upstream that only gives hints", "HTTP/1.1 103 Early Hints\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write(row.answer)
				p.hold()
			})
			tr := transport(t, u)
			tr.ResponseHeaderTimeout = 20 * time.Millisecond
			_, _, err := get(t, tr)
			wantTimeout(t, err)
			if n := u.accepted.Load(); n != 1 {
				t.Errorf("connections: got %d, want 1", n)
			}
		})
	}
	t.Run("an upstream that does not read", func(t *testing.T) {
		watchLeaks(t)
		stop := make(chan bool)
		u := newUpstream(t, "tcp", func(*peer) { <-stop })
		t.Cleanup(func() { close(stop) })
		tr := transport(t, u)
		tr.Dial = smallBuffers(u)
		tr.ResponseHeaderTimeout = 20 * time.Millisecond
		_, _, err := fetch(tr, newRequest(t, "POST", strings.NewReader(strings.Repeat("x", MaxContent))))
		wantTimeout(t, err)
	})
	t.Run("an idempotent request that timed out is not sent again", func(t *testing.T) {
		watchLeaks(t)
		u := answeringThenSilent(t)
		tr := transport(t, u)
		mustGet(t, tr)
		tr.ResponseHeaderTimeout = 20 * time.Millisecond
		tr.idle.idle[0].deadline = 0 // that of the first request would do for a long time
		_, _, err := get(t, tr)
		wantTimeout(t, err)
		if n := u.accepted.Load(); n != 1 {
			t.Errorf("connections: got %d, want 1", n)
		}
	})
}

func answeringThenSilent(t *testing.T) *upstream {
	return newUpstream(t, "tcp", func(p *peer) {
		p.request()
		p.write(hello)
		p.hold()
	})
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	var timed net.Error
	if !errors.As(err, &timed) || !timed.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
}

// The header's deadline stands on while the body comes; it must not end it.
func TestBodiesMayTakeLongerThanHeaders(t *testing.T) {
	for _, row := range []struct{ name, header, end string }{
		{"of known length", "Content-Length: 10\r\n\r\n", ""},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\na\r\n", "\r\n0\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			const limit = 20 * time.Millisecond
			u := newUpstream(t, "tcp", func(p *peer) {
				p.request()
				p.write("HTTP/1.1 200 OK\r\n" + row.header + "first")
				<-time.After(3 * limit)
				p.write("later" + row.end)
				p.request()
				p.write(again)
				p.hold()
			})
			tr := transport(t, u)
			tr.ResponseHeaderTimeout = limit
			response, body, err := get(t, tr)
			for errors.Is(err, context.DeadlineExceeded) && response == nil { // a busy machine: the header itself was late
				response, body, err = get(t, tr)
			}
			if err != nil || body != "firstlater" {
				t.Fatalf("got %q, %v, want firstlater", body, err)
			}
			if n := tr.idleCount(); n != 1 {
				t.Errorf("idle connections: got %d, want 1", n)
			}
		})
	}
}

func TestContextDeadlineIsATimeout(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) { p.hold() })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, _, err := fetch(transport(t, u), newRequest(t, "GET", nil).WithContext(ctx))
	wantTimeout(t, err)
}

func TestCloseBeforeTheEndClosesTheConnection(t *testing.T) {
	for _, row := range []struct{ name, answer string }{
		{"of known length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"without a length", "HTTP/1.1 200 OK\r\n\r\nhello"},
	} {
		for _, while := range []string{"", " while a Read is under way"} {
			t.Run(row.name+while, func(t *testing.T) {
				watchLeaks(t)
				gone := make(chan bool)
				u := newUpstream(t, "tcp", func(p *peer) {
					p.request()
					p.write(row.answer)
					p.hold()
					close(gone)
				})
				tr := transport(t, u)
				response, err := tr.RoundTrip(newRequest(t, "GET", nil))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(response.Body, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				if while != "" {
					go func() { // ends with Close
						_, err := response.Body.Read(make([]byte, 1))
						ended <- err
					}()
				}
				if err := response.Body.Close(); err != nil {
					t.Errorf("Close: got %v, want nil", err)
				}
				if while != "" {
					wantSoon(t, "the Read", ended, http.ErrBodyReadAfterClose)
				}
				if _, err := response.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
					t.Errorf("Read after Close: got %v, want %v", err, http.ErrBodyReadAfterClose)
				}
				if err := response.Body.Close(); err != nil {
					t.Errorf("second Close: got %v, want nil", err)
				}
				<-gone
				if n := tr.idleCount(); n != 0 {
					t.Errorf("idle connections: got %d, want none", n)
				}
			})
		}
	}
}

// What has arrived with the header needs its connection no more.
func TestCloseOfAnArrivedBodyKeepsTheConnection(t *testing.T) {
	watchLeaks(t)
	tr := transport(t, answering(t, hello, again))
	response, err := tr.RoundTrip(newRequest(t, "GET", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // never fails
	if _, body, err := get(t, tr); err != nil || body != "again" {
		t.Errorf("got %q, %v, want again", body, err)
	}
}
