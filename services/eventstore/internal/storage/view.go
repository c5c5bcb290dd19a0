package storage

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// View is the store as of one sync. It must be released, and soon: what it
// shows is kept on the disk until then. A long read takes a new View for each
// of its pages.
type View struct {
	store    *Store
	snapshot *pebble.Snapshot
	last     uint64 // position of the last event
	end      uint64 // position after the journal's last frame
	changed  chan struct{}
	held     atomic.Int32
}

// publish shows readers what is indexed, up to position last, and wakes those
// who wait for more, or for what the commands have changed.
func (s *Store) publish(last, end uint64, commands []*command) {
	view := &View{store: s, snapshot: s.index.db.NewSnapshot(), last: last, end: end, changed: make(chan struct{})}
	view.held.Store(1) // by the store, until the next one
	s.open.Add(1)
	s.mu.Lock()
	before := s.current
	s.current = view
	s.wake(commands)
	s.mu.Unlock()
	if before != nil {
		close(before.changed)
		before.Release()
	}
}

// View returns the store as it is now. It holds all that a writer was told of:
// when the index is about to learn of that, View waits.
func (s *Store) View() (*View, error) {
	for acked := s.acked.Load(); ; {
		view, err := s.hold()
		if err != nil || view.last >= acked {
			return view, err
		}
		changed := view.changed
		view.Release()
		select {
		case <-changed:
		case <-s.faults.failed:
			return nil, s.faults.err()
		}
	}
}

func (s *Store) hold() (*View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.current.held.Add(1)
	return s.current, nil
}

// Release gives the view back; it must not be used any more.
func (v *View) Release() {
	if v.held.Add(-1) == 0 && v.store.faults.err() == nil {
		// Closing a snapshot fails only when it is closed twice.
		must(v.snapshot.Close())
		v.store.open.Done()
	}
}

// Last is the position of the last event, 0 when there is none.
func (v *View) Last() uint64 { return v.last }

// Changed is closed when there is a newer View. It may be waited on after the
// view was released.
func (v *View) Changed() <-chan struct{} { return v.changed }

// State returns the state of a stream.
func (v *View) State(name string) (stream.State, error) {
	state, _, err := loadState(v.snapshot, name)
	if err != nil {
		return stream.State{}, err
	}
	if original, ok := stream.OriginalOf(name); ok && original != "" {
		of, _, err := loadHead(v.snapshot, original)
		if err != nil {
			return stream.State{}, fmt.Errorf("read the state of stream %q: %w", original, err)
		}
		state.Tombstoned = of.Tombstoned // its metadata ends with a stream
	}
	return state, nil
}
