package persistent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// records is what a group keeps in the store: its checkpoints and its parked
// events.
type records struct {
	store *storage.Store
	*Definition
}

// What the streams keep: the last entry, and the one before it for whoever
// looks.
const keptRecords = `"$maxCount":2`

// lastEvent returns the last visible event of a stream, nil when there is none.
func lastEvent(view *storage.View, name string) (*storage.Event, stream.State, error) {
	state, err := view.State(name)
	if err != nil || !state.Exists() {
		return nil, state, err
	}
	for record, err := range view.Stream(name, state, state.Last, storage.Backward) {
		if err != nil {
			return nil, state, err
		}
		event := record.Event()
		return &event, state, nil
	}
	return nil, state, nil
}

// checkpoint returns the last checkpoint, or what is before the group's start.
func (r *records) checkpoint(view *storage.View) (processed, written Place, err error) {
	event, _, err := lastEvent(view, r.checkpoints())
	if err != nil || event == nil {
		return r.First - 1, Nowhere, err
	}
	var text string
	if err := json.Unmarshal(event.Data, &text); err != nil {
		return Nowhere, Nowhere, fmt.Errorf("the last checkpoint in %s is malformed: %w", r.checkpoints(), err)
	}
	at, err := parsePlace(text)
	if err != nil {
		return Nowhere, Nowhere, fmt.Errorf("the last checkpoint in %s is malformed: %w", r.checkpoints(), err)
	}
	return at, at, nil
}

func (r *records) writeCheckpoint(at Place) error {
	data, err := json.Marshal(r.format(at))
	if err != nil {
		return err
	}
	return r.write(r.checkpoints(), storage.NewEvent{ID: uuid.New(), Type: checkpointType, JSON: true, Data: data})
}

// parkedRange returns the first and the last place of the parked events.
func (r *records) parkedRange(view *storage.View) (first, last Place, err error) {
	state, err := view.State(r.Parked())
	if err != nil {
		return 0, 0, err
	}
	first = Place(stream.LimitsOf(r.Parked(), state).First(state.Last))
	last = Place(state.Last)
	return min(first, last+1), last, nil
}

// parkedMetadata is what a parked event's link says about it.
type parkedMetadata struct {
	Added  time.Time `json:"added"`
	Reason string    `json:"reason"`
	Number Place     `json:"subscriptionEventNumber"` // where the group read it
}

// park writes links to events to the end of the parked ones.
func (r *records) park(unwanted []Unwanted, now time.Time) error {
	links := make([]storage.NewEvent, len(unwanted))
	for i := range unwanted {
		metadata, err := json.Marshal(parkedMetadata{Added: now.UTC(), Reason: unwanted[i].Reason, Number: unwanted[i].At})
		if err != nil {
			return err
		}
		links[i] = storage.NewEvent{ID: uuid.New(), Type: stream.LinkType, Data: linkTo(&unwanted[i].Message), Metadata: metadata}
	}
	return r.write(r.Parked(), links...)
}

// linkTo is the data of a link to what m is about. Of a link that leads
// nowhere it is that link's own: it may lead somewhere again.
func linkTo(m *Message) []byte {
	if m.Link && m.Resolved == nil {
		return m.Original.Data
	}
	event := m.Event()
	return fmt.Appendf(nil, "%d@%s", event.Revision, event.Stream)
}

// unpark hides the parked events before first.
func (r *records) unpark(view *storage.View, first Place) error {
	metadata, _, err := lastEvent(view, stream.MetadataOf(r.Parked()))
	if err != nil {
		return err
	}
	var data []byte
	if metadata != nil {
		data = metadata.Data
	}
	data, err = stream.Undeleted(data, int64(first))
	if err != nil {
		return err
	}
	return r.writeMetadata(r.Parked(), data)
}

// prepare hides what an earlier group of the same name has left, in case its
// deletion was cut short.
func (r *records) prepare(view *storage.View) error {
	checkpoints, err := view.State(r.checkpoints())
	if err != nil {
		return err
	}
	err = r.writeMetadata(r.checkpoints(), fmt.Appendf(nil, `{%s,"$tb":%d}`, keptRecords, checkpoints.Last+1))
	if err != nil {
		return err
	}
	first, last, err := r.parkedRange(view)
	if err != nil || first > last {
		return err
	}
	return r.unpark(view, last+1)
}

// remove deletes the group's streams.
func (r *records) remove(view *storage.View) error {
	for _, name := range []string{r.checkpoints(), r.Parked()} {
		state, err := view.State(name)
		if err != nil {
			return err
		}
		if !state.Exists() {
			continue
		}
		if _, err := r.store.Delete(context.Background(), name, stream.Any); err != nil && !errors.Is(err, storage.ErrDeleted) {
			return fmt.Errorf("delete %s: %w", name, err)
		}
	}
	return nil
}

func (r *records) writeMetadata(of string, data []byte) error {
	return r.write(stream.MetadataOf(of), storage.NewEvent{ID: uuid.New(), Type: stream.MetadataType, JSON: true, Data: data})
}

// write ends with the store, not with a call: whether it was done is always
// known.
func (r *records) write(name string, events ...storage.NewEvent) error {
	if _, err := r.store.Append(context.Background(), name, stream.Any, events); err != nil {
		return fmt.Errorf("write to %s: %w", name, err)
	}
	return nil
}
