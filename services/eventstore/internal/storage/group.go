package storage

import "github.com/triangle-suite/triangle/services/eventstore/internal/journal"

// group is what one sync makes durable. The writer fills it; then it belongs
// to whoever syncs, indexes and answers it, and the writer only reads it.
type group struct {
	number   uint64
	log      journal.Group
	commands []*command
	entries  []entry // what the index learns
	heads    []head
	bytes    int    // of its commands, roughly
	last     uint64 // position of the store's last event, as the group leaves it
	err      error  // why it is not durable
}

// A group holds at most so many commands and, roughly, bytes.
const (
	maxGroupCommands = 4096
	maxGroupBytes    = 8 << 20
)

func (g *group) full() bool {
	return len(g.commands) >= maxGroupCommands || g.bytes >= maxGroupBytes
}

// wrote tells whether the group, once it was synced, holds new events.
func (g *group) wrote() bool { return g.err == nil && len(g.entries) > 0 }

// keptBuffer bounds what memory a group keeps for the next time.
const keptBuffer = 1 << 20

func (g *group) reset(number uint64, place journal.Place, last uint64) {
	if g.log.Len() > keptBuffer {
		g.log = journal.Group{}
	}
	clear(g.commands)
	g.log.Reset(place)
	g.number, g.last, g.bytes, g.err = number, last, 0, nil
	g.commands, g.entries, g.heads = g.commands[:0], g.entries[:0], nil
}
