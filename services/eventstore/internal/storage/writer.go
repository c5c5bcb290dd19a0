package storage

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

type commandKind int

const (
	appendEvents commandKind = iota
	softDelete
	tombstone
)

// command is one write on its way through the writer.
type command struct {
	kind     commandKind
	stream   string
	expected stream.Expected
	events   []NewEvent

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

// afterEnd is for who waits when the writer has ended: the answer, if the
// writer still gave one.
func (c *command) afterEnd() (Written, error) {
	select {
	case <-c.done:
		return c.written, c.err
	default:
		return Written{}, ErrClosed
	}
}

// A group holds at most so many commands and, roughly, bytes, so that its
// batch stays far below what the memory table takes at once.
const (
	maxGroupCommands = 4096
	maxGroupBytes    = 8 << 20
)

// writer is the one goroutine that writes.
type writer struct {
	store *Store
	ids   *idCache
	last  uint64 // position of the last event, 0 when there is none
	next  uint64 // position of the next event
	group []*command
}

func newWriter(s *Store) (*writer, error) {
	w := &writer{store: s, ids: newIDCache(s.opts.IDCache), next: 1}
	var err error
	w.last, w.next, err = lastPosition(s.db)
	return w, err
}

// lastPosition finds the last event and the position after it, by one seek:
// a store starts as quickly when it is large.
func lastPosition(db *pebble.DB) (last, next uint64, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{eventTable}, UpperBound: []byte{eventTable + 1}})
	if err != nil {
		return 0, 0, fmt.Errorf("find the last event: %w", err)
	}
	next = 1
	if it.Last() {
		last, err = decodePosition(it.Key()[1:])
		next = last + uint64(len(it.Value()))
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return 0, 0, fmt.Errorf("find the last event: %w", err)
	}
	return last, next, nil
}

func (w *writer) run() {
	defer close(w.store.written)
	for w.take() {
		w.write()
	}
}

// take waits for a command and takes all that wait with it; false says that
// the store is closing and that nothing waits.
func (w *writer) take() bool {
	clear(w.group)
	w.group = w.group[:0]
	select {
	case c := <-w.store.queue:
		w.group = append(w.group, c)
	case <-w.store.closing:
	}
	// Those who were answered just now are about to come back: let them queue
	// first. It costs nothing when nobody is there, and makes groups larger.
	runtime.Gosched()
	size := 0
	for len(w.group) < maxGroupCommands && size < maxGroupBytes {
		select {
		case c := <-w.store.queue:
			w.group = append(w.group, c)
			size += c.size()
		default:
			return len(w.group) > 0
		}
	}
	return true
}

// write decides the group, makes what it writes durable, shows it to readers
// and answers. Refusals too are answered only then: they may rest on writes of
// the same group.
func (w *writer) write() {
	st := newStage(w)
	for _, c := range w.group {
		if c.err = w.store.faults.err(); c.err == nil {
			c.written, c.err = st.apply(c)
		}
	}
	if err := st.commit(); err != nil {
		w.refuse(err)
	} else if st.last != w.last {
		w.last, w.next = st.last, st.next
		w.store.publish(w.last)
	}
	for _, c := range w.group {
		close(c.done)
	}
}

// refuse answers the whole group with err: nothing of it is known to be
// durable.
func (w *writer) refuse(err error) {
	for _, c := range w.group {
		c.written, c.err = Written{}, err
	}
}
