package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// The load: as many connections as keep one core busy.
const (
	connections  = 64                     // of eager clients, and of users
	ramp         = 200 * time.Millisecond // before a window counts: connections are made, pools fill
	slack        = 30 * time.Second       // after a window, for the last answers: a machine that does other things may be far behind
	maxMessage   = 8 << 10                // bytes of a request or response, head and body
	upstreamBody = 256                    // bytes of the upstream's answer
)

// window orders one span of load, all of it for one proxy. Eager clients send their next request as soon as
// they have an answer; users send theirs when it is due, with a new genuine token each.
type window struct {
	Address string        // of the proxy
	PID     int           // of the proxy
	Core    int           // that the proxy has to itself
	Eager   int           // connections of eager clients
	Carry   cargo         // that eager clients send
	Unique  bool          // each with another token; false: all with the same
	Want    int           // the status that every answer to them must have
	Rate    int           // users' requests a second; all must have status 200
	Sleep   bool          // clients and upstream sleep when they have nothing to do, if there are no users; false: they poll
	Ramp    time.Duration // before it counts
	Length  time.Duration // that counts
}

// result is what came of a window.
type result struct {
	Requests   int64         // of eager clients, answered as they should be, while the window counted
	P50, P99   time.Duration // of the users' latencies
	Late       time.Duration // how long after it was due a user's request was sent, at most, but for 1 %
	Unexpected int64         // other answers and broken connections, before and after included
	Example    string        // the first of those
	CPU        time.Duration // that the proxy's process spent
	Idle       time.Duration // of the proxy's core
	Wall       time.Duration
	Error      string // why there is no result
}

// fault says why a window's result cannot be used.
func (r result) fault() error {
	switch {
	case r.Error != "":
		return errors.New(r.Error)
	case r.Unexpected > 0:
		return fmt.Errorf("%d answers are not as they should be, the first: %s", r.Unexpected, r.Example)
	}
	return nil
}

// load is the role of all that is outside the proxy: the clients and the upstream, in one thread. It mints,
// then runs one window for each line of orders.
func load(ctx context.Context, args []string, in io.Reader, ready func(string)) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	minted, err := mintTokens(n)
	if err != nil {
		return err
	}
	o, err := newOutside(minted)
	if err != nil {
		return err
	}
	ready(o.address)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var w window
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			return err
		}
		r, err := o.serveWindow(ctx, w)
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

// reading is what the counters say at one moment.
type reading struct {
	when      time.Time
	requests  int64
	cpu, idle time.Duration
}

// look reads the counters of a window.
func (w window) look(requests int64) (reading, error) {
	cpu, err := cpuTime(w.PID)
	if err != nil {
		return reading{}, err
	}
	idle, err := coreIdle(w.Core)
	return reading{time.Now(), requests, cpu, idle}, err
}

// The little of a response that the load looks at.
var (
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
	lowerLength   = bytes.ToLower(contentLength) // as HAProxy writes it
)

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
	at := bytes.Index(text[:end], contentLength)
	if at < 0 {
		at = bytes.Index(text[:end], lowerLength)
	}
	if at >= 0 {
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
