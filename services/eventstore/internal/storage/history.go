package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
)

// history answers Decide about one stream: the events of this group first,
// then the durable ones.
type history struct {
	stage  *stage
	stream string
}

// Recent implements stream.History. An id that another stream has says
// nothing about this one.
func (h *history) Recent(id uuid.UUID) (int64, bool) {
	p, ok := h.stage.w.ids.find(id)
	return p.revision, ok && p.stream == h.stream
}

// IDAt implements stream.History.
func (h *history) IDAt(revision int64) (uuid.UUID, error) {
	for _, e := range h.stage.events {
		if e.revision == revision && e.stream == h.stream {
			return e.id, nil
		}
	}
	position, err := h.positionAt(revision)
	if errors.Is(err, pebble.ErrNotFound) {
		return uuid.Nil, nil
	}
	var id uuid.UUID
	if err == nil {
		err = h.stage.record(position, func(r Record) { id = r.id })
	}
	return id, err
}

// positionAt returns the position of the event at a revision of the stream.
func (h *history) positionAt(revision int64) (position uint64, err error) {
	for _, e := range h.stage.events {
		if e.revision == revision && e.stream == h.stream {
			return e.position, nil
		}
	}
	err = get(h.stage.w.store.db, indexKey(h.stream, revision), func(value []byte) error {
		position, err = decodePosition(value)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find revision %d of stream %q: %w", revision, h.stream, err)
	}
	return position, nil
}
