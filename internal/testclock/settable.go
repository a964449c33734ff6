//go:build approovgate_testclock

package testclock

import (
	"os"
	"strings"
	"sync"
	"time"
)

// Clock is time.Now, set forward or back by what stands in the file that APPROOVGATE_CLOCK names: a Go
// duration such as -1h. It is for tests that set the clock of a process, and in no program that is built without
// the tag approovgate_testclock.
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
}

// now is the time. A file that cannot be read, or holds no duration, changes nothing.
func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.read.IsZero() || now.Sub(c.read) > clockReread {
		c.read = now
		if text, err := os.ReadFile(c.path); err == nil {
			if offset, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
				c.offset = offset
			}
		}
	}
	return now.Round(0).Add(c.offset) // without the monotonic reading, which nobody sets
}
