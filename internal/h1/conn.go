package h1

import (
	"net"
	"syscall"
	"time"
)

// conn is a connection to the upstream. All but close belongs to whoever has taken it.
type conn struct {
	net.Conn
	raw       syscall.RawConn
	born      time.Time
	idleSince time.Duration // as an age, of a connection in a pool
	deadline  time.Duration // of all reads and writes, as an age; 0: none

	// What talk is about; set by ask. step is talk, made once, since making it costs an allocation.
	step     func(fd uintptr) (done bool)
	out, in  []byte
	probe    bool
	n        int
	readErr  error
	writeErr error
}

func newConn(socket net.Conn) (*conn, error) {
	system, ok := socket.(syscall.Conn)
	if !ok {
		return nil, unsendable("Dial made a connection that is not the operating system's")
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: socket, raw: raw, born: time.Now()}
	c.step = c.talk
	return c, nil
}

// close may be called at any time, by anybody, more than once: it ends a read or write under way.
func (c *conn) close() { _ = c.Conn.Close() } // there is nothing left to lose

// age is the connection's clock. It is monotonic, and cheaper than time.Now.
func (c *conn) age() time.Duration { return time.Since(c.born) }

// allow gives the exchange that begins now at least d. Setting a deadline costs as much as a small system
// call; by an eighth too late it serves the next exchanges, too.
func (c *conn) allow(d time.Duration) error {
	if d <= 0 {
		return c.allowForever()
	}
	now := c.age()
	if c.deadline >= now+d {
		return nil
	}
	c.deadline = now + d + d/8
	return c.SetDeadline(c.born.Add(c.deadline))
}

// allowForever takes the deadline away.
func (c *conn) allowForever() error {
	if c.deadline == 0 {
		return nil
	}
	c.deadline = 0
	return c.SetDeadline(time.Time{})
}

// ask sends a request and reads the first bytes of the answer. With probe it looks first whether the
// connection is still good; if not, it sends nothing and returns errStale. An error to write does not keep
// it from reading: the upstream may have answered early and closed.
func (c *conn) ask(out, in []byte, probe bool) (n int, err error) {
	c.out, c.in, c.probe = out, in, probe
	c.n, c.readErr, c.writeErr = 0, nil, nil
	err = c.raw.Read(c.step)
	c.out, c.in = nil, nil // they are not the connection's
	if err == nil {
		err = c.readErr
	}
	return c.n, err
}
