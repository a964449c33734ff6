//go:build unix

package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// supported says that talk works here.
const supported = true

// talk is one step of ask, called by the runtime's poller: once to begin, and again whenever there is
// something to read. It probes, writes and reads while the poller watches for reading since before the
// probe. Thus the probe, which finds nothing on a good connection, is also the attempt to read that has to
// come before waiting, and costs no system call of its own.
//
// The probe is what keeps an answer that nobody asked for from reaching the next request (RFC 9112 §9.3):
// it takes no byte from a connection that is used afterwards.
func (c *conn) talk(fd uintptr) (done bool) {
	if c.out != nil {
		if c.probe {
			if _, err := readNow(fd, c.in); err != syscall.EAGAIN {
				c.readErr = errStale
				return true
			}
		}
		_, c.writeErr = c.Write(c.out)
		c.out = nil
		if c.writeErr == nil && c.probe {
			return false
		}
		if c.writeErr != nil && errors.Is(c.writeErr, os.ErrDeadlineExceeded) {
			c.readErr = c.writeErr
			return true
		}
	}
	n, err := readNow(fd, c.in)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		c.readErr = &net.OpError{Op: "read", Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	case n == 0:
		c.readErr = io.EOF
	default:
		c.n = n
	}
	return true
}

// readNow reads what is there. Go's sockets do not block.
func readNow(fd uintptr, p []byte) (n int, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// hungUp reports whether err says that the other side has ended the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
