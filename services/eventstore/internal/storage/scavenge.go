package storage

import (
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Scavenged is what Scavenge has done.
type Scavenged struct {
	Chunks  int   // chunks that were looked at
	Kept    int   // events that stay
	Removed int   // events that are gone
	Freed   int64 // bytes
}

// Scavenge removes for good, from the store in folder dir, which nobody has
// open, the events that no reader of their stream sees any more. Those that
// stay keep their positions. It can be cut short at any point: what is not
// removed then is removed by the next one.
func Scavenge(dir string, opts Options) (done Scavenged, err error) {
	opts = opts.withDefaults()
	opts.Existing = true
	store, err := Open(dir, opts)
	if err != nil {
		return Scavenged{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	view, err := store.View()
	if err != nil {
		return Scavenged{}, err
	}
	defer view.Release()
	s := scavenge{store: store, view: view, now: opts.Now()}
	s.done.Freed, err = store.log.Repack(s.chunk, s.commit)
	return s.done, err
}

// scavenge is one run of Scavenge.
type scavenge struct {
	store   *Store
	view    *View
	now     time.Time
	states  map[string]stream.State // of the chunk's streams
	removed []entry
	done    Scavenged
}

// chunk begins a chunk: it returns what decides about its records.
func (s *scavenge) chunk() func(journal.Record) (keep bool, err error) {
	s.done.Chunks++
	s.states, s.removed = make(map[string]stream.State), nil
	return s.keep
}

func (s *scavenge) keep(r journal.Record) (bool, error) {
	record, err := decodeRecord(r.Position, r.Payload)
	if err != nil {
		return false, err
	}
	name := string(record.stream)
	state, ok := s.states[name]
	if !ok {
		if state, err = s.view.State(name); err != nil {
			return false, err
		}
		s.states[name] = state
	}
	if stream.Keep(name, state, record.revision, record.created.Time(), s.now) {
		s.done.Kept++
		return true, nil
	}
	s.removed = append(s.removed, entry{name, record.revision, r.Position})
	return false, nil
}

// commit lets the index forget what a chunk is about to lose: whoever comes in
// between finds events that no stream has, and not the other way round.
func (s *scavenge) commit() error {
	s.done.Removed += len(s.removed)
	if err := s.store.index.remove(s.removed); err != nil {
		return fmt.Errorf("scavenge the index: %w", err)
	}
	return nil
}
