package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The load: as many connections as keep one core busy.
const (
	connections = 64
	ramp        = 200 * time.Millisecond // before a window counts: connections are made, pools fill
	slack       = 10 * time.Second       // after which a connection that hears nothing gives up
	maxAnswer   = 8 << 10                // bytes of a response, head and body
)

// window orders one span of load, all of it for one proxy.
type window struct {
	Address string        // of the proxy
	PID     int           // of the proxy
	Core    int           // that the proxy has to itself
	Unique  bool          // every request carries another token; false: all carry the same
	Spoilt  bool          // the tokens' signatures are wrong
	Want    int           // the status that every answer must have
	Length  time.Duration // that counts
}

// result is what came of a window.
type result struct {
	Requests   int64         // answered, while the window counted
	Unexpected int64         // answers of another status and broken connections, ramp included
	Example    string        // the first of those
	CPU        time.Duration // that the proxy's process spent
	Idle       time.Duration // of the proxy's core
	Wall       time.Duration
	Error      string // why there is no result
}

// load is the role of the load generator: it mints, then runs one window for each line of orders.
func load(ctx context.Context, args []string, in io.Reader, ready func(string)) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	minted, err := mintTokens(n)
	if err != nil {
		return err
	}
	l := &loader{minted: minted}
	ready("minted")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var w window
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			return err
		}
		r, err := l.run(ctx, w)
		if err != nil {
			r.Error = err.Error()
		}
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		ready(string(text))
	}
	return nil
}

// loader sends load.
type loader struct {
	minted tokens
	next   atomic.Int64 // the token to send next; goes on from window to window
}

// run is one window: the connections start, the window counts, the connections end.
func (l *loader) run(ctx context.Context, w window) (result, error) {
	s := &span{loader: l, window: w, deadline: time.Now().Add(ramp + w.Length + slack)}
	var running sync.WaitGroup
	defer running.Wait() // the connections see over, or their deadline
	defer s.over.Store(true)
	for range connections {
		conn, err := net.DialTimeout("tcp", w.Address, slack)
		if err != nil {
			return result{}, err
		}
		running.Go(func() { s.drive(conn) })
	}
	if err := pause(ctx, ramp); err != nil {
		return result{}, err
	}
	before, err := s.look()
	if err != nil {
		return result{}, err
	}
	if err := pause(ctx, w.Length); err != nil {
		return result{}, err
	}
	after, err := s.look()
	if err != nil {
		return result{}, err
	}
	s.over.Store(true)
	running.Wait()
	example, _ := s.example.Load().(string)
	return result{
		Requests: after.requests - before.requests, Unexpected: s.unexpected.Load(), Example: example,
		CPU: after.cpu - before.cpu, Idle: after.idle - before.idle, Wall: after.when.Sub(before.when),
	}, nil
}

// pause returns after d, or earlier with ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// span is a window while it runs, shared by its connections.
type span struct {
	*loader
	window
	deadline   time.Time
	over       atomic.Bool
	requests   atomic.Int64
	unexpected atomic.Int64
	example    atomic.Value // string
}

// reading is what the counters say at one moment.
type reading struct {
	when      time.Time
	requests  int64
	cpu, idle time.Duration
}

func (s *span) look() (reading, error) {
	cpu, err := cpuTime(s.PID)
	if err != nil {
		return reading{}, err
	}
	idle, err := coreIdle(s.Core)
	return reading{time.Now(), s.requests.Load(), cpu, idle}, err
}

// drive sends request after request over one connection until the window is over.
func (s *span) drive(conn net.Conn) {
	defer conn.Close()
	if err := conn.SetDeadline(s.deadline); err != nil {
		s.note(err.Error())
		return
	}
	r := newRequest()
	answer := make([]byte, maxAnswer)
	for !s.over.Load() {
		i := int64(0)
		if s.Unique {
			i = s.next.Add(1)
		}
		r.carry(s.minted.at(i), s.Spoilt)
		status, err := exchange(conn, r.text, answer)
		if err != nil {
			s.note(err.Error())
			return
		}
		if status != s.Want {
			s.note(fmt.Sprintf("got status %d, want %d", status, s.Want))
			continue
		}
		s.requests.Add(1)
	}
}

// note counts what should not have happened and keeps the first as the example.
func (s *span) note(what string) {
	s.unexpected.Add(1)
	s.example.CompareAndSwap(nil, what)
}

// The little of a response that the load looks at.
var (
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// exchange sends a request and reads the whole answer into buffer. An answer that is not exactly one
// response of known length is an error.
func exchange(conn io.ReadWriter, request, buffer []byte) (status int, err error) {
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	read, total := 0, 0
	for total == 0 || read < total {
		n, err := conn.Read(buffer[read:])
		read += n
		if err != nil {
			return 0, err
		}
		if total == 0 {
			status, total = measureHead(buffer[:read])
		}
		if read == len(buffer) && read != total {
			return 0, errors.New("the answer is too long, or has no Content-Length")
		}
	}
	if read > total {
		return 0, errors.New("more than one answer to one request")
	}
	return status, nil
}

// measureHead returns a response's status and its length in bytes, head and body; zero while the head
// is not complete.
func measureHead(text []byte) (status, total int) {
	end := bytes.Index(text, headEnd)
	const before = len("HTTP/1.1 ")
	if end < before+3 {
		return 0, 0
	}
	status = digits(text[before : before+3])
	total = end + len(headEnd)
	if at := bytes.Index(text[:end], contentLength); at >= 0 {
		total += digits(text[at+len(contentLength):])
	}
	return status, total
}

// digits is the number that text starts with.
func digits(text []byte) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}
