package persistent

import (
	"slices"

	"github.com/google/uuid"
)

// Consumer is one that a Group delivers to.
type Consumer struct {
	number    uint64
	size      int                    // how many events may be in flight to it
	inFlight  map[uuid.UUID]*message // the first of its twins
	count     int                    // in flight, twins included
	bytes     int                    // of them
	assigned  []*message             // in flight, but not taken yet
	processed counter
	latencies latencies // when the group keeps extra statistics
}

// counter counts, and knows how far it was when it was last asked.
type counter struct {
	total, told int64
}

// tell returns how much was counted, and how much of it since the last time.
func (c *counter) tell() (total, since int64) {
	total, since = c.total, c.total-c.told
	c.told = c.total
	return total, since
}

// maxInFlight bounds the bytes in flight to a consumer, however many events it
// asks for.
const maxInFlight = 16 << 20

// room is how many more events the consumer takes now.
func (c *Consumer) room() int {
	if c.bytes >= maxInFlight {
		return 0
	}
	return c.size - c.count
}

// hold notes that m is in flight to c. An id may come twice: the store takes
// the same one in two streams. Answers then count for the first one first.
func (c *Consumer) hold(m *message) {
	c.count++
	c.bytes += m.size()
	c.assigned = append(c.assigned, m)
	last := c.inFlight[m.id()]
	if last == nil {
		c.inFlight[m.id()] = m
		return
	}
	for last.twin != nil {
		last = last.twin
	}
	last.twin = m
}

// release notes that m is in flight to c no more.
func (c *Consumer) release(m *message) {
	c.count--
	c.bytes -= m.size()
	if at := slices.Index(c.assigned, m); at >= 0 {
		c.assigned = slices.Delete(c.assigned, at, at+1)
	}
	first := c.inFlight[m.id()]
	if first == m {
		if m.twin == nil {
			delete(c.inFlight, m.id())
		} else {
			c.inFlight[m.id()] = m.twin
		}
	} else {
		for first.twin != m {
			first = first.twin
		}
		first.twin = m.twin
	}
	m.twin = nil
}

// choose returns the consumer of m, nil when it must wait. There is room
// somewhere.
func (g *Group) choose(m *message) *Consumer {
	if g.settings.Strategy.pins() {
		c := g.pinned(m.Pin)
		if held, ok := g.pins[m.Pin]; ok {
			c = held.by
		}
		if c.room() > 0 {
			return c
		}
		return nil
	}
	for i := range g.consumers {
		at := (g.turn + i) % len(g.consumers)
		if g.consumers[at].room() <= 0 {
			continue
		}
		g.turn = at
		if g.settings.Strategy == RoundRobin {
			g.turn = (at + 1) % len(g.consumers)
		}
		return g.consumers[at]
	}
	return nil
}

// pinned returns the consumer that a pin belongs to: the one with the highest
// weight for it. Who comes takes pins from all others alike, and who goes
// leaves only its own to the others.
func (g *Group) pinned(pin uint64) *Consumer {
	return slices.MaxFunc(g.consumers, func(a, b *Consumer) int {
		if mix(pin, a.number) < mix(pin, b.number) {
			return -1
		}
		return 1
	})
}

// pin says by whom events of one pin are held now: nobody else gets another
// one before those are answered, be the pin no longer its own.
type pin struct {
	by *Consumer
	n  int
}

// hold notes that an event of a pin is in flight.
func (g *Group) hold(m *message) {
	if g.settings.Strategy.pins() {
		g.pins[m.Pin] = pin{by: m.consumer, n: g.pins[m.Pin].n + 1}
	}
}

func (g *Group) release(m *message) {
	held, ok := g.pins[m.Pin]
	if held.n--; held.n > 0 {
		g.pins[m.Pin] = held
	} else if ok {
		delete(g.pins, m.Pin)
	}
}

// mix is the finaliser of MurmurHash3 over both numbers.
func mix(a, b uint64) uint64 {
	h := a ^ b*0x9e3779b97f4a7c15
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
