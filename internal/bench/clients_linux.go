package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// connect makes the clients and sends the first request of each eager one.
func (o *outside) connect() error {
	address, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return err
	}
	users := 0
	if o.Rate > 0 {
		users = connections
	}
	for i := range users + o.Eager {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		client := &end{fd: fd, client: true, user: i < users, request: newRequest()}
		if err := errors.Join(
			syscall.Connect(fd, &syscall.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}),
			syscall.SetNonblock(fd, true), o.adopt(client)); err != nil {
			_ = syscall.Close(fd)
			return fmt.Errorf("connect to %s: %w", o.Address, err)
		}
		o.clients++
		if client.user {
			o.free = append(o.free, client)
		} else {
			o.send(client, o.Carry, o.Unique)
		}
	}
	return nil
}

// receive looks at what a client has got of its answer. A whole one is judged, and the next request sent.
func (o *outside) receive(e *end) {
	status, total := measureHead(e.buffer[:e.read])
	if total == 0 && e.read < len(e.buffer) || e.read < total && total <= len(e.buffer) {
		return
	}
	want := o.Want
	if e.user {
		want = http.StatusOK
	}
	switch {
	case e.read != total:
		o.note("an answer is too long, or is more than one")
		o.close(e)
		return
	case status != want:
		o.note(fmt.Sprintf("got status %d, want %d", status, want))
	case e.user:
		o.pace.answered(e.due, time.Since(o.start))
	default:
		o.requests++
	}
	e.read = 0
	switch {
	case e.user:
		o.free = append(o.free, e)
	case o.over:
		o.close(e)
	default:
		o.send(e, o.Carry, o.Unique)
	}
}

// sendDue sends what users' requests are due, as far as there are connections for them. Users leave when no
// more fall due.
func (o *outside) sendDue() {
	if o.Rate == 0 {
		return
	}
	for len(o.free) > 0 {
		now := time.Since(o.start)
		due, ok := o.pace.due(now)
		if !ok && !o.pace.done() {
			return
		}
		user := o.free[len(o.free)-1]
		o.free = o.free[:len(o.free)-1]
		if !ok {
			o.close(user)
			continue
		}
		user.due = due
		o.send(user, genuine, true)
	}
}

// send sends a client's next request.
func (o *outside) send(e *end, what cargo, unique bool) {
	token := int64(0)
	if unique {
		o.next++
		token = o.next
	}
	e.carry(o.minted, token, what)
	o.write(e, e.text)
}
