//go:build linux

package reliability

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is what a process uses at a moment.
type sample struct{ memory, goroutines, descriptors int64 }

func (s *sidecar) sample(t *testing.T) sample {
	t.Helper()
	return sample{s.resident(t), int64(s.metric(t, "go_goroutines")), int64(s.descriptors(t))}
}

// median of a number that samples have.
func median(all []sample, of func(sample) int64) int64 {
	values := make([]int64, 0, len(all))
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// TestASoakLeavesNothingBehind mixes good clients, forgers and attackers for a while. What the process uses must not grow
// between the middle of that time and its end, and must be given back afterwards.
func TestASoakLeavesNothingBehind(t *testing.T) {
	duration := time.Duration(rounds(15, 600)) * time.Second
	backend := newAPI(t, time.Millisecond, 0)
	s := start(t, gateFile{upstream: backend.url, more: []string{"h2c: true"}}.write(t, t.TempDir()))
	s.wants(t, live, isReady, http.StatusOK)
	before := s.sample(t)

	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	defer end() // a failed test must not leave them behind
	u := &users{url: "http://" + s.listen + "/"}
	u.hold(token(t, keyA))
	judge := u.start(t)
	defer judge()
	var attackers sync.WaitGroup // ended by stop
	for i := range 4 {
		attackers.Go(func() { harass(s.listen, i, stop) })
	}
	streams := &visitors{url: u.url, genuine: u.token, forged: token(t, keyB)}
	streaming := newClient(t, 1, true)
	attackers.Go(func() {
		for n := 0; !closed(stop); n++ {
			streams.ask(streaming, n%3 == 0)
		}
	})

	var samples []sample
	tick := time.NewTicker(duration / 60)
	defer tick.Stop()
	for range 60 {
		<-tick.C
		samples = append(samples, s.sample(t))
	}
	end()
	attackers.Wait()
	judge()
	streaming.CloseIdleConnections()
	if streams.wrong+streams.broken+streams.repeated > 0 {
		t.Errorf("HTTP/2: got %d wrong answers and %d broken ones, the last %q; want none", streams.wrong, streams.broken+streams.repeated, streams.last)
	}

	middle, last := samples[20:40], samples[40:]
	for _, row := range []struct {
		what string
		of   func(sample) int64
		most func(middle int64) int64
	}{
		{"bytes of memory", func(s sample) int64 { return s.memory }, func(n int64) int64 { return n + n/10 + 4<<20 }},
		{"goroutines", func(s sample) int64 { return s.goroutines }, func(n int64) int64 { return n + n/5 + 10 }},
		{"descriptors", func(s sample) int64 { return s.descriptors }, func(n int64) int64 { return n + n/5 + 10 }},
	} {
		if got, want := median(last, row.of), row.most(median(middle, row.of)); got > want {
			t.Errorf("at the end: got %d %s, want at most %d, about as many as in the middle", got, row.what, want)
		}
	}
	backend.hangUp()
	var after sample
	defer func() {
		if t.Failed() {
			t.Logf("before %+v, afterwards %+v", before, after)
		}
	}()
	until(t, "goroutines and descriptors are given back", func() bool {
		after = s.sample(t)
		return after.goroutines <= before.goroutines+5 && after.descriptors <= before.descriptors+5
	})
	t.Logf("%v: %d genuine and %d forged requests, %d over HTTP/2; before / middle / end / afterwards: memory %d / %d / %d / %d MiB, goroutines %d / %d / %d / %d, descriptors %d / %d / %d / %d",
		duration, u.accepted.Load(), u.refused.Load(), streams.right,
		before.memory>>20, median(middle, func(s sample) int64 { return s.memory })>>20, median(last, func(s sample) int64 { return s.memory })>>20, after.memory>>20,
		before.goroutines, median(middle, func(s sample) int64 { return s.goroutines }), median(last, func(s sample) int64 { return s.goroutines }), after.goroutines,
		before.descriptors, median(middle, func(s sample) int64 { return s.descriptors }), median(last, func(s sample) int64 { return s.descriptors }), after.descriptors)
}

func closed(stop chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// attacks are what a hostile client writes before it goes away.
var attacks = []string{
	"",
	"\x16\x03\x01 this is no TLS",
	"GET / HTTP/1.1\r\nHost: api.test\r\nX-Half",
	"GET / HTTP/1.1\r\nHost: api.test\r\nApproov-Token: " + strings.Repeat(".", 8000) + "\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\nnot all of it",
	"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n",
	"GET /" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\nHost: api.test\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 500), // HTTP/2 with nothing but SETTINGS
	"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n",
}

// harass attacks about fifty times a second. Some connections are reset, some wait for an answer first.
func harass(address string, first int, stop chan struct{}) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := first; !closed(stop); n++ {
		<-pace.C
		conn, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		_, _ = fmt.Fprint(conn, attacks[n%len(attacks)]) // the gate may have closed it
		if n%3 == 0 {
			_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = conn.Read(make([]byte, 1024)) // whatever the answer is
		}
		if tcp, ok := conn.(*net.TCPConn); ok && n%2 == 0 {
			_ = tcp.SetLinger(0) // closing it then resets it
		}
		_ = conn.Close()
	}
}
