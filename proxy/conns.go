package proxy

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// clients are the connections of clients on all listeners: bounded in number, and each of them in how long
// it may leave a response untaken.
type clients struct {
	limit        int
	writeTimeout time.Duration

	mu   sync.Mutex               // guards open
	open map[*clientConn]struct{} // accepted and not yet closed

	accepted atomic.Int64
	evicted  atomic.Int64 // closed in favour of a newer one
	refused  atomic.Int64 // closed at once: every other one was serving a request
}

func newClients(limit int, writeTimeout time.Duration) *clients {
	return &clients{limit: limit, writeTimeout: writeTimeout, open: map[*clientConn]struct{}{}}
}

// youth is how long a connection may be without a request before it has to make room for another. Without it
// a burst of newcomers would push out those that have only just come, before they could say anything.
const youth = 50 * time.Millisecond

// count is how many connections are open.
func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// admit takes a new connection in. When there are as many as allowed, one that serves no request makes
// room: it is idle, or sends a header slowly. When all serve, the new one is closed, and admit returns nil.
func (c *clients) admit(raw, conn net.Conn) *clientConn {
	admitted := &clientConn{Conn: conn, raw: raw, clients: c}
	c.mu.Lock()
	full := len(c.open) >= c.limit
	var victim *clientConn
	for full {
		victim = c.longestIdle()
		if victim == nil {
			break
		}
		age := time.Duration(monotonic() - victim.since.Load())
		if age >= youth {
			break
		}
		c.mu.Unlock()
		time.Sleep(youth - age) // meanwhile newcomers wait in the kernel's queue, as they would for a slower machine
		c.mu.Lock()
		full, victim = len(c.open) >= c.limit, nil
	}
	if victim != nil {
		delete(c.open, victim)
	}
	if !full || victim != nil {
		admitted.since.Store(monotonic())
		c.open[admitted] = struct{}{}
	}
	c.mu.Unlock()
	switch {
	case victim != nil:
		c.evicted.Add(1)
		_ = victim.Close() // nobody waits for what it would say
	case full:
		c.refused.Add(1)
		_ = conn.Close() // as above
		return nil
	}
	c.accepted.Add(1)
	return admitted
}

// longestIdle is the connection that has served no request for longest, of a sample: a look at all of them
// for each newcomer would be dear when a flood keeps the gate full. mu is held.
func (c *clients) longestIdle() *clientConn {
	const sample = 64
	var found *clientConn
	seen := 0
	for conn := range c.open { // in random order
		if conn.serving.Load() == 0 && (found == nil || conn.since.Load() < found.since.Load()) {
			found = conn
		}
		if seen++; seen >= sample && found != nil {
			break
		}
	}
	return found
}

// clientConn is one connection of a client.
type clientConn struct {
	net.Conn
	raw     net.Conn // the socket, below a PROXY header
	clients *clients

	serving atomic.Int32 // requests under way
	since   atomic.Int64 // monotonic: when it was accepted, or when serving last became 0
	armed   atomic.Int64 // monotonic: when the write deadline was last set; 0: it is not
}

// begin notes that a request has arrived.
func (c *clientConn) begin() { c.serving.Add(1) }

// end notes that it was answered.
func (c *clientConn) end() {
	c.since.Store(monotonic())
	c.serving.Add(-1)
}

// Write fails when the client takes nothing for the write timeout. The deadline moves in steps of a
// quarter, because setting it for every write would show.
func (c *clientConn) Write(p []byte) (int, error) {
	now, timeout := monotonic(), c.clients.writeTimeout
	if armed := c.armed.Load(); armed == 0 || now-armed > int64(timeout/4) {
		c.armed.Store(now)
		if err := c.Conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline is what the HTTP server asks for; the next write sets ours again.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	c.armed.Store(0)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is SetWriteDeadline for both directions.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.armed.Store(0)
	return c.Conn.SetDeadline(t)
}

// CloseWrite ends our half, so that a client that is still sending reads the answer before it is cut off.
func (c *clientConn) CloseWrite() error {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close gives the place back.
func (c *clientConn) Close() error {
	c.clients.mu.Lock()
	delete(c.clients.open, c)
	c.clients.mu.Unlock()
	return c.Conn.Close()
}

// connKey is where a request's context has its connection.
type connKey struct{}

// withConn is an [http.Server]'s ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// connOf is the connection a request came in on; nil where no listener of ours accepted it.
func connOf(r *http.Request) *clientConn {
	conn, _ := r.Context().Value(connKey{}).(*clientConn)
	return conn
}

// epoch is what monotonic counts from.
var epoch = time.Now()

// monotonic is the time since the program started, in nanoseconds, untouched by steps of the wall clock.
// It is never 0 or less.
func monotonic() int64 { return int64(time.Since(epoch)) + 1 }
