package traefikplugin

import (
	"container/list"
	"sync"

	"github.com/approovgate/approovgate/engine"
)

// cacheEntries bounds the tokens that one gate remembers. An entry takes about 2 KB, the largest, a token of the
// default max_bytes, about 16 KB.
const cacheEntries = 4096

// cache remembers tokens that were opened, and forgets what was not used for longest.
type cache struct {
	mu    sync.Mutex // guards the fields below
	order *list.List // of *entry, the last used in front
	found map[string]*list.Element
}

type entry struct {
	key   string
	value interface{}
}

func newCache() engine.Cache { return &cache{order: list.New(), found: map[string]*list.Element{}} }

// Get returns what was added under a key and is still there.
func (c *cache) Get(key string) (interface{}, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.found[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(element)
	e, _ := element.Value.(*entry)
	return e.value, true
}

// Add remembers a value under a key.
func (c *cache) Add(key string, value interface{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.found[key]; ok {
		c.order.Remove(old)
	}
	c.found[key] = c.order.PushFront(&entry{key: key, value: value})
	if c.order.Len() <= cacheEntries {
		return
	}
	oldest := c.order.Back()
	c.order.Remove(oldest)
	if e, ok := oldest.Value.(*entry); ok {
		delete(c.found, e.key)
	}
}
