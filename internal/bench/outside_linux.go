package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// outside is everything beyond the proxy: clients and upstream. While a window runs it polls, unless it is
// ordered to sleep when it has nothing to do. A peer that sleeps must be woken by the proxy's own write, at a
// cost that depends on how often it had time to fall asleep, and that a peer on another machine does not cause.
type outside struct {
	address  string // of the upstream
	listener int    // the upstream's file descriptor
	poll     int    // epoll's
	ends     []*end // by file descriptor; nil: not ours
	events   [2 * connections]syscall.EpollEvent
	answer   []byte // the upstream's, to every request
	minted   tokens
	next     int64 // the token sent last; goes on from window to window

	current
}

// current is the state of the window that runs.
type current struct {
	window
	start      time.Time // what users' times count from
	pace       pace      // of the users
	free       []*end    // users' connections without a request
	clients    int       // still connected
	over       bool      // eager clients leave after their answer, users when no more requests fall due
	requests   int64     // of eager clients, answered as they should be
	dials      int64     // connections that the proxy made to the upstream
	unexpected int64     // what should not have happened
	example    string    // the first of those
}

// end is our end of one connection.
type end struct {
	fd     int
	client bool          // else the upstream's
	user   bool          // a client that sends its requests when they are due
	due    time.Duration // when a user's request was
	read   int           // bytes of the message so far
	buffer [maxMessage]byte
	request
}

// newOutside opens the upstream on loopback, on a port that the system chooses.
func newOutside(minted tokens) (*outside, error) {
	o := &outside{minted: minted}
	var err error
	if o.poll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if o.listener, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := syscall.Bind(o.listener, &syscall.SockaddrInet4{Addr: netip.MustParseAddr("127.0.0.1").As4()}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := syscall.Listen(o.listener, syscall.SOMAXCONN); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	name, err := syscall.Getsockname(o.listener)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	bound, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return nil, fmt.Errorf("getsockname: got %T, want IPv4", name)
	}
	o.address = netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)).String()
	o.answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		upstreamBody, strings.Repeat("x", upstreamBody))
	return o, o.watch(o.listener)
}

// watch makes poll report when fd can be read.
func (o *outside) watch(fd int) error {
	err := syscall.EpollCtl(o.poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// serveWindow is one window: the clients connect, the window counts, the clients leave.
func (o *outside) serveWindow(ctx context.Context, w window) (result, error) {
	o.current = current{window: w}
	defer o.hangUp()
	if err := o.connect(); err != nil {
		return result{}, err
	}
	o.start, o.pace = time.Now(), newPace(w.Rate)
	if err := o.turn(ctx, w.Ramp, false); err != nil {
		return result{}, err
	}
	before, err := w.look(o.requests)
	if err != nil {
		return result{}, err
	}
	o.pace.from = time.Since(o.start)
	// At least as long as ordered; longer where other work has starved the proxy of all that time.
	latest := time.Now().Add(w.Length + slack)
	for first := true; first || o.unserved(before) && o.unexpected == 0 && time.Now().Before(latest); first = false {
		if err := o.turn(ctx, w.Length, false); err != nil {
			return result{}, err
		}
	}
	after, err := w.look(o.requests)
	if err != nil {
		return result{}, err
	}
	o.over, o.pace.until = true, time.Since(o.start)
	if err := o.turn(ctx, slack, true); err != nil {
		return result{}, err
	}
	o.judge(before)
	return result{
		Requests: after.requests - before.requests, Unexpected: o.unexpected, Example: o.example,
		P50: percentile(o.pace.latencies, 0.50), P99: percentile(o.pace.latencies, 0.99), Late: percentile(o.pace.late, 0.99),
		CPU: after.cpu - before.cpu, Idle: after.idle - before.idle, Wall: after.when.Sub(before.when),
	}, nil
}

// unserved reports whether a kind of clients has had no answer since.
func (o *outside) unserved(before reading) bool {
	return o.Eager > 0 && o.requests == before.requests || o.Rate > 0 && len(o.pace.latencies) == 0
}

// judge takes note of what is wrong with the window as a whole.
func (o *outside) judge(before reading) {
	if o.clients > 0 {
		o.note(fmt.Sprintf("%d clients had no answer after %v", o.clients, slack))
	}
	if o.unserved(before) {
		o.note("no request was answered")
	}
	if answered := o.requests + int64(len(o.pace.latencies)); o.dials > 4*connections && o.dials > answered/10 {
		o.note(fmt.Sprintf("the proxy made %d connections to the upstream for %d requests: it does not keep them", o.dials, answered))
	}
}

// adopt takes a connection into the loop.
func (o *outside) adopt(e *end) error {
	for len(o.ends) <= e.fd {
		o.ends = append(o.ends, nil)
	}
	o.ends[e.fd] = e
	return errors.Join(syscall.SetsockoptInt(e.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1), o.watch(e.fd))
}

// turn works for d, or until all clients have left when that is what it waits for.
func (o *outside) turn(ctx context.Context, d time.Duration, leaving bool) error {
	between, wait := 64, 0 // polls without a look at the clock; how long each waits, in milliseconds
	if o.Sleep && o.Rate == 0 {
		between, wait = 1, 1
	}
	for until := time.Now().Add(d); time.Now().Before(until) && !(leaving && o.clients == 0); {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for range between {
			n, err := syscall.EpollWait(o.poll, o.events[:], wait)
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return fmt.Errorf("epoll_wait: %w", err)
			}
			o.sendDue()
			for i := range max(n, 0) {
				o.serve(int(o.events[i].Fd))
				o.sendDue()
			}
		}
	}
	return nil
}

// serve does what is to do where something can be read.
func (o *outside) serve(fd int) {
	if fd == o.listener {
		o.accept()
		return
	}
	e := o.ends[fd]
	n, err := syscall.Read(fd, e.buffer[e.read:])
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return
	}
	if n <= 0 {
		if e.client {
			o.note(fmt.Sprintf("the proxy closed a connection (%v)", err))
		}
		o.close(e)
		return
	}
	e.read += n
	if e.client {
		o.receive(e)
	} else if bytes.HasSuffix(e.buffer[:e.read], headEnd) { // requests have no body and come one at a time
		e.read = 0
		o.write(e, o.answer)
	} else if e.read == len(e.buffer) {
		o.note("the upstream got a request that is too long")
		o.close(e)
	}
}

// accept takes one connection of the proxy to the upstream.
func (o *outside) accept() {
	fd, _, err := syscall.Accept4(o.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ECONNABORTED) {
		return
	}
	o.dials++
	if err == nil {
		err = o.adopt(&end{fd: fd})
	}
	if err != nil {
		o.note("accept: " + err.Error())
	}
}

// write writes a message at once: it is small and the peer has read the one before.
func (o *outside) write(e *end, text []byte) {
	if n, err := syscall.Write(e.fd, text); n != len(text) {
		o.note(fmt.Sprintf("wrote %d of %d bytes (%v)", n, len(text), err))
		o.close(e)
	}
}

// close ends a connection.
func (o *outside) close(e *end) {
	o.ends[e.fd] = nil
	_ = syscall.Close(e.fd) // nothing is owed to the peer
	if e.client {
		o.clients--
	}
	if e.user {
		o.free = slices.DeleteFunc(o.free, func(f *end) bool { return f == e })
	}
}

// hangUp ends the clients that are left.
func (o *outside) hangUp() {
	for _, e := range o.ends {
		if e != nil && e.client {
			o.close(e)
		}
	}
}

// note counts what should not have happened and keeps the first as the example.
func (o *outside) note(what string) {
	if o.unexpected == 0 {
		o.example = what
	}
	o.unexpected++
}

// endWithStarter makes the system end a program when the thread that started it ends (prctl(2),
// PR_SET_PDEATHSIG), so that it cannot be left behind however this process dies.
func endWithStarter() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
