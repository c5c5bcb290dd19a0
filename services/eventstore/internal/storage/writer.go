package storage

import (
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

type commandKind int

const (
	appendEvents commandKind = iota
	softDelete
	tombstone
)

// command is one write on its way through the store.
type command struct {
	kind     commandKind
	stream   string
	expected stream.Expected
	events   []NewEvent
	began    time.Time

	done    chan struct{} // closed when written and err hold
	written Written
	err     error
}

// Written tells where a write ended.
type Written struct {
	Last     int64  // the stream's last revision, or that of the repeated append
	Position uint64 // of the last event; 0 in a store without events
}

func (c *command) size() int {
	n := 0
	for i := range c.events {
		n += c.events[i].Size()
	}
	return n
}

// afterEnd is for who waits when the store has ended: the answer, if there
// still was one, or how the disk failed.
func (c *command) afterEnd(failed error) (Written, error) {
	select {
	case <-c.done:
		return c.written, c.err
	default:
	}
	if failed != nil {
		return Written{}, failed
	}
	return Written{}, ErrClosed
}

// groups is how many groups there are: one is filled while one is synced and
// one is indexed, and some wait in between.
const groups = 6

// writer decides commands, one after the other, and fills groups with what
// they write. It is one goroutine, ahead of the disk by a few groups.
type writer struct {
	store  *Store
	states *states
	recent *idCache
	group  *group
	flying [groups]*group // those that may not be indexed yet, by number
	last   uint64         // position of the last event, 0 when there is none
	number uint64         // of the current group
	// Of the current command, kept for the memory:
	ids     []uuid.UUID
	history history
	staged  []Event // what it writes
}

func newWriter(s *Store) *writer {
	w := &writer{
		store: s, states: newStates(s.index.db), recent: newIDCache(s.opts.IDCache), last: s.log.Last(),
	}
	w.history.writer = w
	w.begin(s.log.Place())
	return w
}

// begin begins a group, when one is free.
func (w *writer) begin(place journal.Place) {
	g := <-w.store.free
	w.states.forget(g.number) // a group that is free again is indexed, and those before it
	w.number++
	w.states.group = w.number
	g.reset(w.number, place, w.last)
	w.group = g
	w.flying[w.number%groups] = g
}

// run stages commands until the store closes and none waits.
func (w *writer) run() {
	defer close(w.store.toSync)
	for w.take() {
		w.gather()
		w.pass()
	}
}

// take waits for the first command of a group; false says that the store is
// closing and that nothing waits.
func (w *writer) take() bool {
	if len(w.group.commands) > 0 {
		return true
	}
	select {
	case c := <-w.store.queue:
		w.stage(c)
	case <-w.store.closing:
	}
	// Those who were answered just now are about to come back: let them queue
	// first. It costs nothing when nobody is there, and makes groups larger.
	runtime.Gosched()
	w.gather()
	return len(w.group.commands) > 0
}

// gather stages what waits.
func (w *writer) gather() {
	for !w.group.full() {
		select {
		case c := <-w.store.queue:
			w.stage(c)
		default:
			return
		}
	}
}

// pass hands the group on to be synced, and goes on to fill it while it can't.
func (w *writer) pass() {
	for !w.group.full() {
		select {
		case w.store.toSync <- w.group:
			w.begin(w.group.log.Place())
			return
		case c := <-w.store.queue:
			w.stage(c)
		}
	}
	w.hand(w.group.log.Place())
}

// hand hands the group on, and begins the next one at place.
func (w *writer) hand(place journal.Place) {
	w.store.toSync <- w.group
	w.begin(place)
}

// stage decides c and stages what it writes.
func (w *writer) stage(c *command) {
	w.staged = w.staged[:0]
	if c.err = w.store.faults.err(); c.err == nil {
		if c.written, c.err = w.apply(c); c.err != nil && len(w.staged) > 0 {
			w.store.faults.fail(c.err) // half of it is in the states: nothing may rest on them
		}
	}
	if c.err == nil && len(w.staged) > 0 {
		c.written.Position = w.place(len(w.staged), c)
	}
	w.group.commands = append(w.group.commands, c)
	w.group.bytes += c.size()
}

// place puts the staged events into the journal's next group, and returns the
// position of the command's own last one.
func (w *writer) place(n int, c *command) (own uint64) {
	size := 0
	for i := range w.staged {
		size += journal.FrameSize(recordLen(&w.staged[i]))
	}
	if !w.group.log.Fits(size) {
		next := w.store.log.NextChunk(w.group.log.Place(), size)
		if len(w.group.commands) > 0 {
			w.hand(next)
		} else {
			w.group.log.Reset(next)
		}
	}
	for i := range w.staged {
		e := &w.staged[i]
		e.Position = w.group.log.End(appendRecord(w.group.log.Begin(), e), i == n-1)
		w.group.entries = append(w.group.entries, entry{e.Stream, e.Revision, e.Position})
		// Before the sync: when that fails, nothing is answered any more.
		w.recent.add(e.ID, place{e.Stream, e.Revision, e.Position})
		if i == max(len(c.events), 1)-1 {
			own = e.Position
		}
		w.last = e.Position
	}
	w.group.heads = append(w.group.heads, w.states.heads()...)
	w.group.last = w.last
	clear(w.staged)
	return own
}

// put stages one event and moves its stream on.
func (w *writer) put(name string, revision int64, event NewEvent) error {
	e := Event{NewEvent: event, Stream: name, Revision: revision, Created: TicksOf(w.store.opts.Now())}
	if err := w.states.evolve(&e); err != nil {
		return err
	}
	w.staged = append(w.staged, e)
	return nil
}

// record hands the event at a position, durable or not, to use.
func (w *writer) record(position uint64, use func(Record)) error {
	for _, g := range w.flying {
		if g == nil {
			continue
		}
		if payload, ok := g.log.Read(position); ok {
			return useRecord(position, payload, use)
		}
	}
	reader := w.store.log.NewReader() // a new one: the journal has grown since
	defer reader.Close()
	payload, err := reader.Read(position)
	if err != nil {
		return err
	}
	return useRecord(position, payload, use)
}

func useRecord(position uint64, payload []byte, use func(Record)) error {
	r, err := decodeRecord(position, payload)
	if err == nil {
		use(r)
	}
	return err
}
