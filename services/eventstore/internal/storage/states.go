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
	changed    []*tracked
}

// tracked is a stream's state.
type tracked struct {
	stream.State
	name   string
	dirty  bool   // since heads was called last
	number uint64 // of the group that changed it last
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
		state, err := loadState(s.db, name)
		if err != nil {
			return nil, err
		}
		t = &tracked{State: state, name: name}
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
		s.touch(of)
	}
	if e.Revision == stream.MaxRevision {
		// What came before counts for nothing: the state does not tell whether
		// a scavenge has removed it.
		t.Tombstoned, t.Last = true, stream.None
	} else {
		t.Last = e.Revision
	}
	s.touch(t)
	return nil
}

func (s *states) touch(t *tracked) {
	if !t.dirty {
		t.dirty = true
		s.changed = append(s.changed, t)
	}
}

// heads returns the states that have changed since it was called last.
func (s *states) heads() []head {
	heads := make([]head, len(s.changed))
	for i, t := range s.changed {
		heads[i] = head{t.name, encodeState(t.State)}
		t.dirty = false
	}
	s.changed = s.changed[:0]
	return heads
}

// number notes that the changed states belong to a group.
func (s *states) number(group uint64) {
	for _, t := range s.changed {
		t.number = group
	}
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
