//go:build approovgate_testclock

package testclock

import (
	"os"
	"strings"
	"sync"
	"time"
)

// Clock is time.Now, set forward or back by what stands in the file that APPROOVGATE_CLOCK names: a Go
// duration such as -1h; or it stands still at the time there, as RFC 3339 writes it. It is for tests that set the clock
// of a process, and in no program that is built without the tag approovgate_testclock.
func Clock() func() time.Time {
	path := os.Getenv("APPROOVGATE_CLOCK")
	if path == "" {
		return time.Now
	}
	return (&testClock{path: path}).now
}

// clockReread is how long what the file said is believed.
const clockReread = 20 * time.Millisecond

type testClock struct {
	path string

	mu     sync.Mutex // guards the fields below
	read   time.Time  // when the file was last read; zero: not yet
	offset time.Duration
	still  time.Time // where it stands; zero: it goes
}

// now is the time. A file that cannot be read, or holds neither duration nor time, changes nothing.
func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.read.IsZero() || now.Sub(c.read) > clockReread {
		c.read = now
		if text, err := os.ReadFile(c.path); err == nil {
			c.set(strings.TrimSpace(string(text)))
		}
	}
	if !c.still.IsZero() {
		return c.still
	}
	return now.Round(0).Add(c.offset) // without the monotonic reading, which nobody sets
}

// set sets the clock. mu is held.
func (c *testClock) set(text string) {
	if offset, err := time.ParseDuration(text); err == nil {
		c.offset, c.still = offset, time.Time{}
	} else if still, err := time.Parse(time.RFC3339Nano, text); err == nil {
		c.still = still
	}
}
