package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// apply decides c and stages the events that it writes.
func (w *writer) apply(c *command) (Written, error) {
	state, err := w.states.get(c.stream)
	if err != nil {
		return Written{}, err
	}
	ids := w.ids[:0]
	for i := range c.events {
		ids = append(ids, c.events[i].ID)
	}
	if c.kind != appendEvents {
		ids = append(ids, uuid.New()) // a deletion is a write of one event
	}
	w.ids = ids
	w.history.stream = c.stream
	decision, err := stream.Decide(state.State, c.expected, ids, &w.history)
	if err != nil {
		return Written{}, err
	}
	switch decision.Outcome {
	case stream.Deleted:
		return Written{}, fmt.Errorf("%w: %q", ErrDeleted, c.stream)
	case stream.WrongVersion:
		return Written{}, &WrongVersionError{Stream: c.stream, Expected: c.expected, Current: state.Last}
	case stream.Repeated:
		position, err := w.history.positionAt(decision.Last)
		return Written{Last: decision.Last, Position: position}, err
	}
	switch c.kind {
	case softDelete:
		last := state.Last
		return Written{Last: last}, w.putMetadata(c.stream, ids[0], stream.DeletedMetadata())
	case tombstone:
		event := NewEvent{ID: ids[0], Type: stream.TombstoneType}
		return Written{Last: stream.MaxRevision}, w.put(c.stream, stream.MaxRevision, event)
	default:
		return w.append(state, c.events)
	}
}

// append stages events. When they bring a deleted stream back, what was there
// before stays hidden: its metadata follows with a new truncation point.
func (w *writer) append(state *tracked, events []NewEvent) (Written, error) {
	if len(events) == 0 {
		return Written{Last: state.Last, Position: w.last}, nil
	}
	revive, err := w.revival(state, events)
	if err != nil {
		return Written{}, err
	}
	for i := range events {
		if err := w.put(state.name, state.Last+1, events[i]); err != nil {
			return Written{}, err
		}
	}
	written := Written{Last: state.Last}
	if revive != nil {
		return written, w.putMetadata(revive.stream, uuid.New(), revive.metadata)
	}
	return written, nil
}

// revival is the metadata that brings a stream back.
type revival struct {
	stream   string
	metadata []byte
}

// revival returns what must follow an append of events to a stream: nil unless
// they bring a softly deleted stream back, by writing to it or to its
// metadata.
func (w *writer) revival(state *tracked, events []NewEvent) (*revival, error) {
	if original, ok := stream.OriginalOf(state.name); ok {
		of, err := w.states.get(original)
		if err != nil || !of.SoftDeleted() {
			return nil, err
		}
		metadata, err := stream.Undeleted(events[len(events)-1].Data, of.Last+1)
		return &revival{original, metadata}, err
	}
	if !state.SoftDeleted() {
		return nil, nil
	}
	before, err := w.metadata(state.name)
	if err != nil {
		return nil, err
	}
	metadata, err := stream.Undeleted(before, state.Last+1)
	return &revival{state.name, metadata}, err
}

// putMetadata stages metadata of stream name.
func (w *writer) putMetadata(name string, id uuid.UUID, metadata []byte) error {
	metaName := stream.MetadataOf(name)
	metaState, err := w.states.get(metaName)
	if err != nil {
		return err
	}
	event := NewEvent{ID: id, Type: stream.MetadataType, JSON: true, Data: metadata}
	return w.put(metaName, metaState.Last+1, event)
}

// metadata returns the metadata of stream name, nil when it has none.
func (w *writer) metadata(name string) ([]byte, error) {
	metaName := stream.MetadataOf(name)
	state, err := w.states.get(metaName)
	if err != nil || state.Last == stream.None {
		return nil, err
	}
	history := &history{writer: w, stream: metaName}
	position, err := history.positionAt(state.Last)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = w.record(position, func(r Record) { data = append(data, r.data...) })
	return data, err
}

// history answers Decide about one stream: the events of the groups that are
// not indexed yet first, then those that are.
type history struct {
	writer *writer
	stream string
}

// Recent implements stream.History. An id that another stream has says
// nothing about this one.
func (h *history) Recent(id uuid.UUID) (int64, bool) {
	p, ok := h.writer.recent.find(id)
	return p.revision, ok && p.stream == h.stream
}

// IDAt implements stream.History.
func (h *history) IDAt(revision int64) (id uuid.UUID, err error) {
	position, err := h.positionAt(revision)
	if errors.Is(err, pebble.ErrNotFound) {
		return uuid.Nil, nil
	}
	if err == nil {
		err = h.writer.record(position, func(r Record) { id = r.id })
	}
	return id, err
}

// positionAt returns the position of the event at a revision of the stream.
func (h *history) positionAt(revision int64) (position uint64, err error) {
	for _, g := range h.writer.flying {
		if g == nil {
			continue
		}
		for i := range g.entries {
			if e := &g.entries[i]; e.revision == revision && e.stream == h.stream {
				return e.position, nil
			}
		}
	}
	err = get(h.writer.store.index.db, indexKey(h.stream, revision), func(value []byte) error {
		position, err = decodePosition(value)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find revision %d of stream %q: %w", revision, h.stream, err)
	}
	return position, nil
}
