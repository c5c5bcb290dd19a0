// Package dump writes events as lines of JSON and reads them back: the form in
// which events leave a store and come into another one.
package dump

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// line is an event as one line tells it. Data and metadata are base64, since
// they need not be text.
type line struct {
	Position    uint64    `json:"position"`
	Stream      string    `json:"stream"`
	Revision    int64     `json:"revision"`
	ID          uuid.UUID `json:"id"`
	Type        string    `json:"type"`
	Created     time.Time `json:"created"`
	ContentType string    `json:"contentType"`
	Data        []byte    `json:"data"`
	Metadata    []byte    `json:"metadata"`
}

// Begin is what each line begins with.
const Begin = `{"position":`

// ContentJSON is the content type of an event whose data is JSON. All others are
// written as contentBinary.
const (
	ContentJSON   = "application/json"
	contentBinary = "application/octet-stream"
)

// Write writes events to w, a line each.
func Write(w io.Writer, events iter.Seq2[storage.Event, error]) (written int, err error) {
	buffered := bufio.NewWriterSize(w, 1<<20)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for e, err := range events {
		if err != nil {
			return written, errors.Join(err, buffered.Flush())
		}
		if err := encoder.Encode(lineOf(&e)); err != nil {
			return written, fmt.Errorf("write an event: %w", err)
		}
		written++
	}
	return written, buffered.Flush()
}

func lineOf(e *storage.Event) *line {
	l := &line{
		Position: e.Position, Stream: e.Stream, Revision: e.Revision, ID: e.ID, Type: e.Type,
		Created: e.Created.Time().UTC(), ContentType: contentBinary, Data: present(e.Data), Metadata: present(e.Metadata),
	}
	if e.JSON {
		l.ContentType = ContentJSON
	}
	return l
}

// present makes none an empty one: both are written alike.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Read reads events from r. What is no event ends the iteration with an error
// that names the line.
func Read(r io.Reader) iter.Seq2[storage.Event, error] {
	return func(yield func(storage.Event, error) bool) {
		decoder := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
		decoder.DisallowUnknownFields()
		for n := 1; ; n++ {
			var l line
			err := decoder.Decode(&l)
			if errors.Is(err, io.EOF) {
				return
			}
			var e storage.Event
			if err == nil {
				e, err = l.event()
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (l *line) event() (storage.Event, error) {
	if l.ContentType != ContentJSON && l.ContentType != contentBinary {
		return storage.Event{}, fmt.Errorf("contentType %q is neither %q nor %q", l.ContentType, ContentJSON, contentBinary)
	}
	return storage.Event{
		NewEvent: storage.NewEvent{
			ID: l.ID, Type: l.Type, JSON: l.ContentType == ContentJSON, Data: l.Data, Metadata: l.Metadata,
		},
		Stream: l.Stream, Revision: l.Revision, Position: l.Position, Created: storage.TicksOf(l.Created),
	}, nil
}
