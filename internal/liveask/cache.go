package liveask

import "sync"

const cacheSize = 1000

// cache is a cache of tokens that starts anew when it is full.
type cache struct {
	mu    sync.Mutex // guards found
	found map[string]interface{}
}

// Get returns what was added under a key.
func (c *cache) Get(key string) (interface{}, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.found[key]
	return value, ok
}

// Add keeps a value.
func (c *cache) Add(key string, value interface{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) >= cacheSize {
		c.found = map[string]interface{}{}
	}
	c.found[key] = value
}
