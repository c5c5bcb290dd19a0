package storage

import "github.com/google/uuid"

// ID is the event's id.
func (r *Record) ID() uuid.UUID { return r.id }

// JSON tells whether the event's data is JSON.
func (r *Record) JSON() bool { return r.flags&flagJSON != 0 }

// Created is when the event was recorded.
func (r *Record) Created() Ticks { return r.created }

// Data is the event's data.
func (r *Record) Data() []byte { return r.data }

// Metadata is what the event's writer put beside the data.
func (r *Record) Metadata() []byte { return r.metadata }

// Record returns e in the form in which the store gives events out; the two
// share data and metadata.
func (e *Event) Record() Record {
	var flags byte
	if e.JSON {
		flags |= flagJSON
	}
	return Record{
		position: e.Position,
		revision: e.Revision,
		created:  e.Created,
		flags:    flags,
		id:       e.ID,
		stream:   []byte(e.Stream),
		typ:      []byte(e.Type),
		metadata: e.Metadata,
		data:     e.Data,
	}
}
