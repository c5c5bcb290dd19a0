package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// patience bounds each test: what has not come by then never will.
const patience = time.Minute

// fixture is what a tale is told with.
type fixture struct {
	testing.TB
	log eventlog.Log
	ctx context.Context
	tag string // begins all stream names and event types of this test
}

func newFixture(t testing.TB, log eventlog.Log) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &fixture{TB: t, log: log, ctx: ctx, tag: newTag()}
}

func newTag() string { return "t" + uuid.NewString()[:13] }

// stream returns the name of a stream of this test.
func (f *fixture) stream(kind string) string { return fmt.Sprintf("%s.%s-1", f.tag, kind) }

// typed returns a new event of a type of this test.
func (f *fixture) typed(name string) eventlog.NewEvent {
	return eventlog.NewEvent{
		ID:       uuid.New(),
		Type:     f.tag + "." + name,
		Data:     fmt.Appendf(nil, `{"name":%q}`, name),
		Metadata: []byte(`{"subject":"test"}`),
	}
}

// some returns n new events of one type.
func (f *fixture) some(n int) []eventlog.NewEvent {
	events := make([]eventlog.NewEvent, n)
	for i := range events {
		events[i] = f.typed("Happened")
		events[i].Data = fmt.Appendf(nil, `{"ordinal":%d}`, i)
	}
	return events
}

// append appends, whatever the stream's revision.
func (f *fixture) append(stream string, events ...eventlog.NewEvent) eventlog.Appended {
	f.Helper()
	appended, err := f.log.Append(f.ctx, stream, eventlog.Any, events...)
	if err != nil {
		f.Fatalf("append to %s: %v", stream, err)
	}
	return appended
}

// all returns the events of a read that must not fail.
func (f *fixture) all(read iter.Seq2[eventlog.Event, error]) []eventlog.Event {
	f.Helper()
	var events []eventlog.Event
	for event, err := range read {
		if err != nil {
			f.Fatalf("read after %d events: %v", len(events), err)
		}
		events = append(events, event)
	}
	return events
}

// whole returns all that a stream shows, forward.
func (f *fixture) whole(stream string) []eventlog.Event {
	f.Helper()
	return f.all(f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0))
}

// mine returns this test's events among those of a read.
func (f *fixture) mine(read iter.Seq2[eventlog.Event, error]) []eventlog.Event {
	f.Helper()
	return mine(f.tag, f.all(read))
}

// failure returns the error that a read ends with; it must end with one, after
// no event.
func (f *fixture) failure(read iter.Seq2[eventlog.Event, error]) error {
	f.Helper()
	var failure error
	for event, err := range read {
		switch {
		case failure != nil:
			f.Fatal("the read goes on after its error")
		case err == nil:
			f.Fatalf("the read yields event %d of %s, want an error", event.Revision, event.Stream)
		}
		failure = err
	}
	if failure == nil {
		f.Fatal("the read ends without an error")
	}
	return failure
}

// wantError fails the test unless err is target.
func (f *fixture) wantError(err, target error) {
	f.Helper()
	if !errors.Is(err, target) {
		f.Fatalf("error is %v, want %v", err, target)
	}
}

// wantEvents fails the test unless got is want, whose positions and times are
// the store's to choose.
func (f *fixture) wantEvents(got, want []eventlog.Event) {
	f.Helper()
	if difference := diff(want, got); difference != "" {
		f.Fatalf("events differ (-want +got):\n%s", difference)
	}
}

// diff tells where got first differs from want, or nothing. It looks closely
// only at what differs: there are many events, and large ones.
func diff(want, got []eventlog.Event) string {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) {
			return fmt.Sprintf("%d events, want %d; the first that is missing or too many: %s",
				len(got), len(want), cmp.Diff(want[min(i, len(want)):min(i+1, len(want))], got[min(i, len(got)):min(i+1, len(got))]))
		}
		if !same(want[i], got[i]) {
			return fmt.Sprintf("event %d: %s", i, cmp.Diff(want[i], got[i],
				cmpopts.IgnoreFields(eventlog.Event{}, "Position", "Created"), cmpopts.EquateEmpty()))
		}
	}
	return ""
}

// same tells whether two events are one, apart from their positions and times.
func same(a, b eventlog.Event) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Stream == b.Stream && a.Revision == b.Revision &&
		bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Metadata, b.Metadata)
}

// recorded returns events as a stream that has them from revision first on
// shows them.
func recorded(stream string, first uint64, events ...eventlog.NewEvent) []eventlog.Event {
	result := make([]eventlog.Event, len(events))
	for i, event := range events {
		result[i] = eventlog.Event{NewEvent: event, Stream: stream, Revision: first + uint64(i)}
	}
	return result
}
