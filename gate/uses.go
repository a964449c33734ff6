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

	// Gate.mu guards the rest.
	before  [samples]int64 // n at the last moments it was looked at, the oldest at next
	next    int
	seen    int64     // n at the last moment it was looked at
	lastUse time.Time // zero: never
}

// forKeys are the uses of the keys of a policy. Keys of the same name go on counting where an earlier policy
// left off.
func (c *counters) forKeys(keys []KeyStatus) map[string]*keyUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]*keyUse{}
	for _, key := range keys {
		use := c.keys[key.Name]
		if use == nil {
			use = &keyUse{n: make([]int64, 1)}
		}
		found[key.Name] = use
	}
	c.keys = found
	return found
}

// sample looks at the use of all keys, every few seconds. mu is held.
func (g *Gate) sample(elapsed time.Duration) {
	if elapsed < g.nextSample {
		return
	}
	g.nextSample = elapsed + sampleEvery
	now := g.o.Now()
	for _, use := range g.snapshot().uses {
		n := atomic.LoadInt64(&use.n[0])
		if n != use.seen {
			use.seen, use.lastUse = n, now
		}
		use.before[use.next] = n
		use.next = (use.next + 1) % samples
	}
}

// describe tells a key's status how it was used.
func (u *keyUse) describe(key *KeyStatus, now time.Time) {
	key.Tokens = atomic.LoadInt64(&u.n[0])
	key.PerMinute = key.Tokens - u.before[u.next]
	key.LastUse = u.lastUse
	if key.Tokens != u.seen {
		key.LastUse = now
	}
}
