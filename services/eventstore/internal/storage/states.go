package storage

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// states holds the state of streams that were used lately, as the last write
// leaves it, durable or not. It is bounded: streams that were not used for
// long are forgotten, once the index knows their state.
type states struct {
	db         *pebble.DB
	young, old map[string]*tracked
	dirty      []*tracked
	group      uint64 // the number of the group that is being filled
}

// tracked is a stream's state.
type tracked struct {
	stream.State
	name   string
	stored bool   // it has a head
	dirty  bool   // its head is not what it should be
	number uint64 // no later group has changed it
}

// statesKept is how many streams are remembered at least.
const statesKept = 1 << 15

func newStates(db *pebble.DB) *states {
	return &states{db: db, young: make(map[string]*tracked)}
}

// get returns the state of a stream.
func (s *states) get(name string) (*tracked, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return t, s.inherit(t)
}

func (s *states) find(name string) (*tracked, error) {
	if t, ok := s.young[name]; ok {
		return t, nil
	}
	t, ok := s.old[name]
	if !ok {
		state, stored, err := loadState(s.db, name)
		if err != nil {
			return nil, err
		}
		t = &tracked{State: state, name: name, stored: stored}
	}
	s.young[name] = t
	return t, nil
}

// inherit gives a metadata stream the end of the stream that it belongs to.
func (s *states) inherit(t *tracked) error {
	original, ok := stream.OriginalOf(t.name)
	if !ok || original == "" || t.Tombstoned {
		return nil
	}
	of, err := s.find(original)
	if err == nil {
		t.Tombstoned = of.Tombstoned
	}
	return err
}

// evolve takes in an event. It fails, and changes nothing, only when a state
// can't be read.
func (s *states) evolve(e *Event) error {
	t, err := s.find(e.Stream)
	if err != nil {
		return err
	}
	if original, ok := stream.OriginalOf(e.Stream); ok {
		of, err := s.find(original)
		if err != nil {
			return err
		}
		of.HasMetadata, of.Limits = true, stream.Limits{}
		if e.Type == stream.MetadataType {
			of.Limits = stream.ParseLimits(e.Data)
		}
		s.change(of, true)
	}
	ends := e.Revision == stream.MaxRevision
	if ends {
		// What came before counts for nothing: the state does not tell whether
		// a scavenge has removed it.
		t.Tombstoned, t.Last = true, stream.None
	} else {
		t.Last = e.Revision
	}
	s.change(t, ends || !t.stored)
	return nil
}

// change notes that a state has changed, and whether its head has too.
func (s *states) change(t *tracked, head bool) {
	t.number = s.group + 1 // where the event goes when it does not fit into this one
	if head && !t.dirty {
		t.dirty = true
		s.dirty = append(s.dirty, t)
	}
}

// heads returns the heads that have changed since it was called last.
func (s *states) heads() []head {
	heads := make([]head, len(s.dirty))
	for i, t := range s.dirty {
		heads[i] = head{t.name, encodeState(t.State)}
		t.dirty, t.stored = false, true
	}
	s.dirty = s.dirty[:0]
	return heads
}

// forget drops what was not used for long, when there is much; groups up to
// indexed are in the index.
func (s *states) forget(indexed uint64) {
	if len(s.young) < statesKept {
		return
	}
	next := make(map[string]*tracked)
	for name, t := range s.old {
		if _, used := s.young[name]; !used && t.number > indexed {
			next[name] = t
		}
	}
	s.old, s.young = s.young, next
}
