package host

import lru "github.com/hashicorp/golang-lru/v2"

// cacheEntries bounds the cache of dear checks. A typical entry takes about 2 KB, the largest, a token
// of the default max_bytes, about 16 KB: 64 MB at the very worst.
const cacheEntries = 4096

// Cache holds the outcomes of dear checks: JWE and public-key signatures. It has the two methods the
// engine asks of a cache, and forgets what was not used for longest.
type Cache struct{ entries *lru.Cache[string, any] }

// NewCache returns an empty cache, safe for concurrent use.
func NewCache() Cache {
	entries, err := lru.New[string, any](cacheEntries)
	if err != nil {
		panic(err) // only a size below 1 is an error
	}
	return Cache{entries}
}

// Get returns what was added under key and is still there.
func (c Cache) Get(key string) (any, bool) { return c.entries.Get(key) }

// Add remembers value under key.
func (c Cache) Add(key string, value any) { c.entries.Add(key, value) }
