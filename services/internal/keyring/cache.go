package keyring

import "sync"

// cacheSize bounds the keys that a process holds: some 10 MB of them.
const cacheSize = 1 << 16

// cache holds keys that were found. It evicts at random: the map's own order is
// as good as any for keys that are all used alike, and costs no book-keeping.
type cache struct {
	mu   sync.RWMutex
	keys map[string]Key
	size int
	age  uint64 // how often it was cleared
}

func newCache(size int) *cache { return &cache{keys: map[string]Key{}, size: size} }

// get returns the subject's key, and the age to put one under when there is
// none.
func (c *cache) get(subject string) (key Key, age uint64, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	key, ok = c.keys[subject]
	return key, c.age, ok
}

// put keeps a key that was looked up at an age. A key that was looked up before
// the cache was cleared may be destroyed by now, and is not kept.
func (c *cache) put(subject string, key Key, age uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age != c.age {
		return
	}
	if _, there := c.keys[subject]; !there && len(c.keys) >= c.size {
		for evicted := range c.keys {
			delete(c.keys, evicted)
			break
		}
	}
	c.keys[subject] = key
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.keys)
	c.age++
}
