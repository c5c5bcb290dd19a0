package storage

import "github.com/google/uuid"

// place is where an event was written.
type place struct {
	stream   string
	revision int64
	position uint64
}

// idCache remembers where the ids of the last events were written, so that a
// retry without an expected revision is recognised. It is bounded: the oldest
// id goes first. A nil idCache remembers nothing.
type idCache struct {
	places map[uuid.UUID]place
	ring   []uuid.UUID
	next   int
}

func newIDCache(size int) *idCache {
	if size <= 0 {
		return nil
	}
	return &idCache{places: make(map[uuid.UUID]place), ring: make([]uuid.UUID, 0, size)}
}

func (c *idCache) add(id uuid.UUID, p place) {
	if c == nil {
		return
	}
	if _, known := c.places[id]; known {
		c.places[id] = p // its turn to go stays where it is
		return
	}
	if len(c.ring) < cap(c.ring) {
		c.ring = append(c.ring, id)
	} else {
		delete(c.places, c.ring[c.next])
		c.ring[c.next] = id
		c.next = (c.next + 1) % len(c.ring)
	}
	c.places[id] = p
}

func (c *idCache) find(id uuid.UUID) (place, bool) {
	if c == nil {
		return place{}, false
	}
	p, ok := c.places[id]
	return p, ok
}
