package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The timeouts of gates under attack, short so that a short test sees them at work. Those for headers and for writing hold
// for good clients too, who have what the attackers leave of the machine.
const (
	headerTimeout = 12 * time.Second
	bodyTimeout   = 2 * time.Second
	writeTimeout  = 8 * time.Second
	idleTimeout   = 5 * time.Second
	slack         = 30 * time.Second // for a busy machine
)

// The bounds of what an attack may cost. Each connection may have net/http keep 10,000 frames that its client does not
// take, which is some 25 MiB, and the collector lets twice of what is in use stand.
const (
	maxConnections = 3000                   // limits.connections
	maxMemory      = 512 << 20              // bytes of the process, resident
	maxFiles       = 2*maxConnections + 200 // descriptors: one of each client, one to the upstream, and the gate's own
)

// attackTime is how long each attack lasts.
func attackTime(t *testing.T) time.Duration {
	t.Helper()
	const name = "APPROOVGATE_ATTACK"
	text := os.Getenv(name)
	if text == "" {
		text = "5"
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || seconds > 3600 {
		t.Fatalf("%s: got %q, want a number of seconds from 1 to 3600", name, text)
	}
	return time.Duration(seconds) * time.Second
}

// besieged starts an API and a gate with short timeouts in front of it.
func besieged(t *testing.T) *gate {
	t.Helper()
	file := startAPI(t).file()
	file["limits"] = settings{
		"header_timeout": headerTimeout.String(), "body_timeout": bodyTimeout.String(), "write_timeout": writeTimeout.String(),
		"idle_timeout": idleTimeout.String(), "connections": maxConnections, "in_flight": maxConnections,
		"dial_timeout": patience.String(), // the API is on the same machine
	}
	return start(t, file)
}

// siege is good traffic and a watch over the process while something else goes on.
type siege struct {
	g     *gate
	stop  context.CancelFunc
	ended sync.WaitGroup

	sent, good atomic.Int64
	mu         sync.Mutex // guards what follows
	faults     []string   // of good requests, the first few
	slowest    time.Duration
	memory     int // the most that was seen, as are the next two
	files      int
	clientsMax int
}

const (
	goodRate        = 10 * time.Millisecond // between two good requests
	goodConnections = 20                    // that good clients may have open at once, more or less
)

// beside starts the good traffic and the watch. The siege lasts until end.
func beside(t *testing.T, g *gate) *siege {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &siege{g: g, stop: cancel}
	t.Cleanup(cancel)
	clients := []*client{g.client(t, "h2"), g.client(t, "http"), g.client(t, "http/1.1"), g.client(t, "h2")}
	strangers := g.client(t, "h2")
	strangers.disconnect = true // they come once
	for _, c := range append(clients, strangers) {
		c.http.Timeout = 3 * patience // the attackers want all of the machine
	}
	s.ended.Go(func() { s.traffic(ctx, clients, strangers) })
	s.ended.Go(func() { s.watch(ctx, t) })
	return s
}

// traffic sends a good request at each tick, whatever became of those before.
func (s *siege) traffic(ctx context.Context, clients []*client, strangers *client) {
	tick := time.NewTicker(goodRate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sender := clients[n%len(clients)]
		if n%20 == 0 {
			sender = strangers
		}
		s.ended.Go(func() { s.request(sender) })
	}
}

func (s *siege) request(sender *client) {
	s.sent.Add(1)
	begin := time.Now()
	status, body, err := sender.ask(context.Background(), "/hello") // the client has a timeout
	took := time.Since(begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowest = max(s.slowest, took)
	if err == nil && status == 200 && string(body) == "hello\n" {
		s.good.Add(1)
	} else if len(s.faults) < 5 {
		s.faults = append(s.faults, fmt.Sprintf("status %d with %.50q, %v after %v", status, body, err, took))
	}
}

// watch notes what the process holds.
func (s *siege) watch(ctx context.Context, t *testing.T) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		memory, files := s.g.memory(t), s.g.files(t)
		connections, err := s.g.metric("approovgate_connections")
		s.mu.Lock()
		s.memory, s.files = max(s.memory, memory), max(s.files, files)
		if err == nil {
			s.clientsMax = max(s.clientsMax, connections)
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// end stops the good traffic and judges what was seen.
func (s *siege) end(t *testing.T, lasted time.Duration) {
	t.Helper()
	s.stop()
	s.ended.Wait()
	t.Logf("%d good requests, slowest %v; at most %d MiB, %d descriptors, %d connections",
		s.sent.Load(), s.slowest.Round(time.Millisecond), s.memory>>20, s.files, s.clientsMax)
	if s.good.Load() != s.sent.Load() {
		t.Errorf("good requests: got %d of %d answered, want all; %s", s.good.Load(), s.sent.Load(), strings.Join(s.faults, "; "))
	}
	if least := int64(lasted / goodRate / 50); s.sent.Load() < least {
		t.Errorf("good requests: got %d sent, want %d or more", s.sent.Load(), least)
	}
	if s.memory > maxMemory {
		t.Errorf("memory: got %d MiB, want at most %d", s.memory>>20, maxMemory>>20)
	}
	if s.files > maxFiles {
		t.Errorf("descriptors: got %d, want at most %d", s.files, maxFiles)
	}
	if s.memory == 0 || s.files == 0 || s.clientsMax == 0 {
		t.Errorf("got %d bytes, %d descriptors and %d connections, want that the watch sees some", s.memory, s.files, s.clientsMax)
	}
	until(t, "the connections of the attack to be closed", slack+idleTimeout, func() bool {
		n, err := s.g.metric("approovgate_connections")
		return err == nil && n <= goodConnections
	})
}

// until waits for what no event tells of.
func until(t *testing.T, what string, wait time.Duration, reached func() bool) {
	t.Helper()
	deadline := time.After(wait)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-deadline:
			t.Errorf("waited %v in vain for %s", wait, what)
			return
		case <-tick.C:
		}
	}
}
