package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// tracked is a Request.Body that notes its use.
type tracked struct {
	io.Reader
	read, closed bool
}

func (b *tracked) Read(p []byte) (int, error) {
	b.read = true
	if b.Reader == nil {
		return 0, io.EOF
	}
	return b.Reader.Read(p)
}

func (b *tracked) Close() error {
	b.closed = true
	return nil
}

func TestContentIsReadBeforeAConnectionIsTaken(t *testing.T) {
	u := answering(t, hello)
	tr := transport(t, u)
	dialled := make(chan bool, 1)
	tr.Dial = func(ctx context.Context) (net.Conn, error) { dialled <- true; return u.dial(ctx) }
	client, sender := io.Pipe()
	ended := make(chan error, 1)
	req := newRequest(t, "POST", client)
	req.ContentLength = 4
	go func() { // ends with its answer
		_, _, err := fetch(tr, req)
		ended <- err
	}()
	for _, part := range []string{"a", "b", "c", "d"} {
		if _, err := io.WriteString(sender, part); err != nil {
			t.Fatal(err)
		}
		select {
		case <-dialled:
			t.Fatal("got a connection before the content was complete, want none")
		default:
		}
	}
	sender.Close()
	wantSoon(t, "the request", ended, nil)
	<-dialled
}

func TestContentThatFails(t *testing.T) {
	broken := errors.New("broken by " + secretOfUpstream)
	for _, row := range []struct {
		name string
		body io.Reader
		want error
	}{
		{"an error of the sender", io.MultiReader(strings.NewReader("con"), iotest.ErrReader(broken)), broken},
		{"content that ends early", strings.NewReader("cont"), io.ErrUnexpectedEOF},
		{"content that is longer than announced", strings.NewReader("contents"), nil},
		{"content that shows late that it is longer", iotest.OneByteReader(strings.NewReader("contents")), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := answering(t, hello)
			body := &tracked{Reader: row.body}
			req := newRequest(t, "POST", body)
			req.ContentLength = 7
			_, _, err := fetch(transport(t, u), req)
			var failed *BodyError
			if !errors.As(err, &failed) || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("got %v, want a BodyError of %v", err, row.want)
			}
			if strings.Contains(err.Error(), secretOfUpstream) {
				t.Errorf("error: got %q, want nothing of what the sender's says", err)
			}
			if u.accepted.Load() != 0 || !body.closed {
				t.Errorf("got %d connections, content closed %v, want none and closed", u.accepted.Load(), body.closed)
			}
		})
	}
}

func TestRequestThatClosesKeepsNoConnection(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*http.Request)
	}{
		{"Request.Close", func(r *http.Request) { r.Close = true }},
		{"Connection: close", func(r *http.Request) { r.Header.Set("Connection", "x, Close") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			watchLeaks(t)
			tr := transport(t, answering(t, hello, again))
			req := newRequest(t, "GET", nil)
			row.change(req)
			if _, body, err := fetch(tr, req); err != nil || body != "hello" || tr.idleCount() != 0 {
				t.Errorf("got %q, %v, %d idle connections, want hello and none", body, err, tr.idleCount())
			}
		})
	}
}

// An upstream may answer without reading, and close, so that writing fails.
func TestEarlyAnswerIsRead(t *testing.T) {
	watchLeaks(t)
	u := newUpstream(t, "tcp", func(p *peer) {
		p.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig") // and close, with much unread
	})
	tr := transport(t, u)
	tr.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := u.dial(ctx)
		if err == nil {
			err = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
		eventually(t, "a closed connection", func() bool { return u.accepted.Load() == 1 && u.openCount() == 0 })
		return conn, err
	}
	response, body, err := fetch(tr, newRequest(t, "POST", strings.NewReader(strings.Repeat("x", MaxContent))))
	if err != nil || response.StatusCode != 413 || body != "big" {
		t.Errorf("got %v, %q, %v, want 413 big", response, body, err)
	}
	if n := tr.idleCount(); n != 0 {
		t.Errorf("idle connections: got %d, want none", n)
	}
}
