package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// sockets is a server of WebSockets behind the gate.
type sockets struct {
	t       *testing.T
	ended   chan websocket.CloseError // how the page ended a connection
	entered chan struct{}             // gets a value for each connection that waits for its end
	asked   atomic.Int64              // requests for a WebSocket
}

func startSockets(t *testing.T) (*sockets, settings) {
	t.Helper()
	s := &sockets{t: t, ended: make(chan websocket.CloseError, 16), entered: make(chan struct{}, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("/open/page", servePage)
	mux.HandleFunc("/socket/echo", s.accepted(websocket.CompressionDisabled, s.echo))
	mux.HandleFunc("/socket/compressed", s.accepted(websocket.CompressionContextTakeover, s.echo))
	mux.HandleFunc("/socket/pings", s.accepted(websocket.CompressionDisabled, s.ping))
	mux.HandleFunc("/socket/dropped", s.accepted(websocket.CompressionDisabled, func(_ *http.Request, c *websocket.Conn) { _ = c.CloseNow() })) // without a word: the point
	mux.HandleFunc("/socket/idle", s.accepted(websocket.CompressionDisabled, s.idle))
	return s, settings{"upstream": "http://" + serve(t, &http.Server{Handler: mux})}
}

// accepted takes connections whose Origin is the Host, as the gate passes it on.
func (s *sockets) accepted(compression websocket.CompressionMode, then func(*http.Request, *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: compression})
		if err != nil {
			s.t.Errorf("websocket: %v", err)
			return
		}
		c.SetReadLimit(16 << 20)
		then(r, c)
	}
}

// echo sends every message back in fragments of 5,000 bytes.
func (s *sockets) echo(r *http.Request, c *websocket.Conn) {
	const fragment = 5000
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			var end websocket.CloseError
			if errors.As(err, &end) {
				s.ended <- end
			}
			return
		}
		w, err := c.Writer(r.Context(), kind)
		for err == nil && len(message) > 0 {
			n := min(fragment, len(message))
			_, err = w.Write(message[:n])
			message = message[n:]
		}
		if err = errors.Join(err, w.Close()); err != nil {
			s.t.Errorf("websocket: %v", err)
			return
		}
	}
}

// ping has the browser answer ten pings, then ends the connection with a code of its own.
func (s *sockets) ping(r *http.Request, c *websocket.Conn) {
	ctx := c.CloseRead(r.Context())
	for range 10 {
		if err := c.Ping(ctx); err != nil {
			s.t.Errorf("ping: %v", err)
		}
	}
	if err := c.Close(4002, "ten pings were answered"); err != nil {
		s.t.Errorf("close: %v", err)
	}
}

// idle waits for the connection's end, however it comes.
func (s *sockets) idle(r *http.Request, c *websocket.Conn) {
	s.entered <- struct{}{}
	_, _, err := c.Read(r.Context())
	end := websocket.CloseError{Code: websocket.StatusAbnormalClosure} // unless the page has said something
	_ = errors.As(err, &end)
	s.ended <- end
}

// socketEnd is how a page sees the end of a connection.
type socketEnd struct {
	Code   int
	Reason string
	Clean  bool
}

func TestWebSocketsPassInABrowser(t *testing.T) {
	b := startBrowser(t)
	s, file := startSockets(t)
	g := start(t, file)
	for _, origin := range []string{"http://" + g.plain, "https://" + g.secure} {
		scheme, _, _ := strings.Cut(origin, ":")
		page := b.open(t, origin, token(t))
		for _, path := range []string{"/socket/echo", "/socket/compressed"} {
			t.Run(scheme+path+": messages of all lengths come back, and the page's close code arrives", func(t *testing.T) {
				got := call[struct {
					Right int
					Wrong []string
					End   socketEnd
				}](t, page, "echo('"+path+"')")
				if got.Right != 16 || len(got.Wrong) != 0 {
					t.Errorf("got %d right and %v wrong, want 16 right", got.Right, got.Wrong)
				}
				if want := (socketEnd{4001, "the page is done", true}); got.End != want {
					t.Errorf("page: got end %+v, want %+v", got.End, want)
				}
				if end := receive(t, s.ended, "the end at the server"); end.Code != 4001 || end.Reason != "the page is done" {
					t.Errorf("server: got end %v, want 4001, the page is done", end)
				}
			})
		}
		t.Run(scheme+": 200 messages stay in order", func(t *testing.T) {
			got := call[[]string](t, page, "burst('/socket/echo')")
			for i, message := range got {
				if want := fmt.Sprintf("message %d", i); message != want {
					t.Fatalf("got %q, want %q", message, want)
				}
			}
			if len(got) != 200 {
				t.Errorf("got %d messages, want 200", len(got))
			}
			receive(t, s.ended, "the end at the server")
		})
		for _, row := range []struct {
			name, path string
			want       socketEnd
		}{
			{"pings are answered, and the server's close code arrives", "/socket/pings", socketEnd{4002, "ten pings were answered", true}},
			{"a server that drops the connection is gone", "/socket/dropped", socketEnd{1006, "", false}},
		} {
			t.Run(scheme+": "+row.name, func(t *testing.T) {
				if got := call[socketEnd](t, page, "end('"+row.path+"')"); got != row.want {
					t.Errorf("got end %+v, want %+v", got, row.want)
				}
			})
		}
		t.Run(scheme+": a tab that is closed ends its connection at the server", func(t *testing.T) {
			call[bool](t, page, "connect('/socket/idle').then(() => true)")
			receive(t, s.entered, "the connection at the server")
			page.close()
			receive(t, s.ended, "the end at the server")
		})
	}
}

func TestWebSocketsAreRefusedInABrowser(t *testing.T) {
	b := startBrowser(t)
	s, file := startSockets(t)
	g := start(t, file)
	for _, row := range []struct{ name, token string }{{"no token", ""}, {"a forged token", forged(t)}} {
		for _, origin := range []string{"http://" + g.plain, "https://" + g.secure} {
			scheme, _, _ := strings.Cut(origin, ":")
			t.Run(row.name+", "+scheme, func(t *testing.T) {
				page := b.open(t, origin, row.token)
				if got, want := call[string](t, page, "refused('/socket/echo')"), "error event: true, close code: 1006"; got != want {
					t.Errorf("page: got %q, want %q", got, want)
				}
				if got, want := receive(t, page.errors, "the browser's own words"), "HTTP Authentication failed"; !strings.Contains(got, want) {
					t.Errorf("browser: got %q, want %q, which is what it says of 401", got, want)
				}
			})
		}
	}
	if got := s.asked.Load(); got != 0 {
		t.Errorf("got %d requests at the server, want none", got)
	}
}
