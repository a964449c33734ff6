package gate

import (
	"sync/atomic"
	"time"
)

const (
	sampleEvery = 5 * time.Second
	samples     = 12 // a minute of them
)

// keyUse is how often a key has opened a token.
type keyUse struct {
	n []int64 // one, changed by atomic operations only

	// counters.mu guards the rest.
	before  [samples]int64 // n at the last moments it was looked at, the oldest at next
	next    int
	seen    int64     // n at the last moment it was looked at
	lastUse time.Time // zero: never
}

// forKeys are the uses of the keys of a gate's policy. Keys of the same name go on counting where an earlier policy
// or another gate left off.
func (c *counters) forKeys(gate int, keys []KeyStatus) map[string]*keyUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]*keyUse{}
	for _, key := range keys {
		use := c.key(key.Name)
		if use == nil {
			use = &keyUse{n: make([]int64, 1)}
		}
		found[key.Name] = use
	}
	c.keys[gate] = found
	return found
}

// key is the use of a key in force; nil: there is none of that name. mu is held.
func (c *counters) key(name string) *keyUse {
	for _, keys := range c.keys {
		if use := keys[name]; use != nil {
			return use
		}
	}
	return nil
}

// enter gives a gate a number.
func (c *counters) enter() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gates++
	return c.gates
}

// forget drops what is known of a gate's keys, but for those that others have too.
func (c *counters) forget(gate int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, gate)
}

// sample looks at the use of all keys. One of the kin asks for it, every few seconds.
func (c *counters) sample(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	looked := map[*keyUse]bool{}
	for _, keys := range c.keys {
		for _, use := range keys {
			if !looked[use] {
				looked[use] = true
				use.look(now)
			}
		}
	}
}

// look notes how often a key was used up to now.
func (u *keyUse) look(now time.Time) {
	n := atomic.LoadInt64(&u.n[0])
	if n != u.seen {
		u.seen, u.lastUse = n, now
	}
	u.before[u.next] = n
	u.next = (u.next + 1) % samples
}

// describe tells a key's status how it was used.
func (c *counters) describe(u *keyUse, key *KeyStatus, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	key.Tokens = atomic.LoadInt64(&u.n[0])
	key.PerMinute = key.Tokens - u.before[u.next]
	key.LastUse = u.lastUse
	if key.Tokens != u.seen {
		key.LastUse = now
	}
}
