package storage

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// twin is a naive event store: slices and plain loops.
type twin struct {
	log     []Event
	streams map[string][]Event // visible or not, tombstones apart
	ended   map[string]bool
	recent  map[uuid.UUID]place
	now     time.Time
}

func newTwin() *twin {
	return &twin{
		streams: map[string][]Event{}, ended: map[string]bool{}, recent: map[uuid.UUID]place{},
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

var errTwinWrong = errors.New("wrong version")

// isOver tells whether a stream, or the one whose metadata it is, has ended.
func (w *twin) isOver(name string) bool {
	original, _ := stream.OriginalOf(name)
	return w.ended[name] || w.ended[original]
}

// properties are a stream's metadata.
func (w *twin) properties(name string) map[string]int64 {
	metadata := w.streams["$$"+name]
	properties := map[string]int64{}
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata[len(metadata)-1].Data, &properties); err != nil {
			panic(err)
		}
	}
	return properties
}

func (w *twin) softDeleted(name string) bool { return w.properties(name)["$tb"] == math.MaxInt64 }

func (w *twin) write(name string, events ...NewEvent) {
	for _, e := range events {
		recorded := Event{NewEvent: e, Stream: name, Revision: int64(len(w.streams[name])), Created: TicksOf(w.now)}
		w.streams[name] = append(w.streams[name], recorded)
		w.log = append(w.log, recorded)
		w.recent[e.ID] = place{stream: name, revision: recorded.Revision}
	}
}

func (w *twin) append(name string, expected stream.Expected, events []NewEvent) (last int64, err error) {
	there := w.streams[name]
	last = int64(len(there)) - 1
	revision, verdict := w.judge(name, expected, events)
	if verdict != nil || revision >= 0 {
		return revision, verdict
	}
	if len(events) == 0 {
		return last, nil
	}
	revived := name
	if original, ok := stream.OriginalOf(name); ok {
		revived = original
	}
	soft := w.softDeleted(revived)
	w.write(name, events...)
	last += int64(len(events))
	if soft {
		properties := w.properties(revived)
		properties["$tb"] = int64(len(w.streams[revived]) - lenIf(revived == name, events))
		data, err := json.Marshal(properties)
		if err != nil {
			panic(err)
		}
		w.write("$$"+revived, NewEvent{Type: stream.MetadataType, JSON: true, Data: data})
	}
	return last, nil
}

func lenIf(yes bool, events []NewEvent) int {
	if yes {
		return len(events)
	}
	return 0
}

// judge returns the revision that a repeated append ended at, or -1 when it is to
// be written, or an error.
func (w *twin) judge(name string, expected stream.Expected, events []NewEvent) (int64, error) {
	there := w.streams[name]
	soft := w.softDeleted(name)
	if w.isOver(name) || expected == stream.Exists && soft {
		return 0, ErrDeleted
	}
	if expected == stream.Exists && len(there) == 0 && len(w.streams["$$"+name]) == 0 {
		return 0, errTwinWrong
	}
	if expected == stream.Any || expected == stream.Exists {
		revision := int64(-1)
		for i, e := range events {
			at, known := w.recent[e.ID]
			if known = known && at.stream == name; !known && i == 0 {
				return -1, nil
			} else if !known {
				return 0, errTwinWrong
			}
			revision = at.revision
		}
		return revision, nil
	}
	if int(expected) == len(there)-1 {
		return -1, nil
	}
	matching := 0
	for i, e := range events {
		if at := int(expected) + 1 + i; at < len(there) && there[at].ID == e.ID {
			matching++
		} else {
			break
		}
	}
	switch {
	case int(expected) >= len(there) || len(events) == 0:
		return 0, errTwinWrong
	case matching == len(events):
		return int64(expected) + int64(matching), nil
	case matching == 0 && expected == stream.NoStream && soft:
		return -1, nil
	default:
		return 0, errTwinWrong
	}
}

func (w *twin) delete(name string, expected stream.Expected, hard bool) error {
	_, verdict := w.judge(name, expected, []NewEvent{{ID: uuid.New()}})
	if verdict != nil {
		return verdict
	}
	if !hard {
		w.write("$$"+name, NewEvent{Type: stream.MetadataType, JSON: true, Data: []byte(`{"$tb":9223372036854775807}`)})
		return nil
	}
	w.log = append(w.log, Event{NewEvent: NewEvent{Type: stream.TombstoneType}, Stream: name, Revision: math.MaxInt64, Created: TicksOf(w.now)})
	w.ended[name] = true
	return nil
}

// visible are the events of a stream that a reader sees.
func (w *twin) visible(name string) (visible []Event) {
	p := w.properties(name)
	if stream.IsMetadata(name) {
		p = map[string]int64{"$maxCount": 1}
	}
	count := int64(len(w.streams[name]))
	for _, e := range w.streams[name] {
		age := w.now.Sub(time.Unix(0, int64(e.Created)*100))
		tooOld := p["$maxAge"] > 0 && age > time.Duration(p["$maxAge"])*time.Second
		tooMany := p["$maxCount"] > 0 && e.Revision < count-p["$maxCount"]
		if !tooOld && !tooMany && e.Revision >= p["$tb"] {
			visible = append(visible, e)
		}
	}
	return visible
}

// machine runs a store and its twin side by side.
type machine struct {
	fs    vfs.FS
	store *Store
	twin  *twin
	past  []pastAppend
}

type pastAppend struct {
	name   string
	events []NewEvent
}

func (m *machine) open(t *rapid.T) {
	store, err := Open("data", Options{FS: m.fs, Now: func() time.Time { return m.twin.now }, IDCache: 1 << 16, memTable: 64 << 10, firstChunk: 4 << 10, maxChunk: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	m.store = store
}

// nested is a name whose keys would lie among those of stream a, were names
// not told apart by their lengths.
const nested = "a\x00"

var (
	names       = rapid.SampledFrom([]string{"a", "b", nested, "$$a", "$$b"})
	plainNames  = rapid.SampledFrom([]string{"a", "b", nested})
	expectation = rapid.OneOf(
		rapid.SampledFrom([]stream.Expected{stream.Any, stream.NoStream, stream.Exists}),
		rapid.Custom(func(t *rapid.T) stream.Expected { return stream.Expected(rapid.Int64Range(0, 12).Draw(t, "revision")) }),
	)
	freshID = rapid.Custom(func(t *rapid.T) uuid.UUID {
		return uuid.NewSHA1(uuid.NameSpaceOID, binary.BigEndian.AppendUint64(nil, rapid.Uint64().Draw(t, "id")))
	})
	someIDs = func() (ids []uuid.UUID) {
		for i := range 6 {
			ids = append(ids, uuid.UUID{1: byte(i + 1)})
		}
		return ids
	}()
)

func drawEvents(t *rapid.T, name string) []NewEvent {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) NewEvent {
		e := NewEvent{
			ID:       rapid.OneOf(rapid.SampledFrom(someIDs), freshID).Draw(t, "id"),
			Type:     rapid.SampledFrom([]string{"x", "yy"}).Draw(t, "type"),
			JSON:     rapid.Bool().Draw(t, "json"),
			Data:     rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "data"),
			Metadata: rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "metadata"),
		}
		if stream.IsMetadata(name) {
			e.Type, e.Data = stream.MetadataType, drawMetadata(t)
		}
		return e
	}), 0, 3).Draw(t, "events")
}

func drawMetadata(t *rapid.T) []byte {
	properties := rapid.MapOfN(rapid.SampledFrom([]string{"$tb", "$maxCount", "$maxAge", "own"}), rapid.Int64Range(1, 5), 0, 2).Draw(t, "metadata")
	data, err := json.Marshal(properties)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (m *machine) Append(t *rapid.T) {
	name := names.Draw(t, "stream")
	m.append(t, name, expectation.Draw(t, "expected"), drawEvents(t, name))
}

func (m *machine) Retry(t *rapid.T) {
	if len(m.past) == 0 {
		t.Skip("nothing to retry")
	}
	past := rapid.SampledFrom(m.past).Draw(t, "append")
	m.append(t, past.name, expectation.Draw(t, "expected"), past.events)
}

func (m *machine) append(t *rapid.T, name string, expected stream.Expected, events []NewEvent) {
	want, wantErr := m.twin.append(name, expected, events)
	got, err := m.store.Append(context.Background(), name, expected, events)
	m.compare(t, got.Last, err, want, wantErr)
	m.past = append(m.past, pastAppend{name, events})
}

func (m *machine) compare(t *rapid.T, got int64, err error, want int64, wantErr error) {
	var wrong *WrongVersionError
	switch {
	case wantErr == nil && err == nil:
		if got != want {
			t.Fatalf("ended at revision %d, the twin at %d", got, want)
		}
	case errors.Is(wantErr, ErrDeleted) && errors.Is(err, ErrDeleted):
	case errors.Is(wantErr, errTwinWrong) && errors.As(err, &wrong):
	default:
		t.Fatalf("failed with %v, the twin with %v", err, wantErr)
	}
}

func (m *machine) Delete(t *rapid.T) {
	name, expected := plainNames.Draw(t, "stream"), expectation.Draw(t, "expected")
	wantErr := m.twin.delete(name, expected, false)
	_, err := m.store.Delete(context.Background(), name, expected)
	m.compare(t, 0, err, 0, wantErr)
}

func (m *machine) Tombstone(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
		t.Skip("a stream has but one end")
	}
	name, expected := plainNames.Draw(t, "stream"), expectation.Draw(t, "expected")
	wantErr := m.twin.delete(name, expected, true)
	_, err := m.store.Tombstone(context.Background(), name, expected)
	m.compare(t, 0, err, 0, wantErr)
}

func (m *machine) Wait(t *rapid.T) {
	m.twin.now = m.twin.now.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "seconds")) * time.Second)
}

func (m *machine) Reopen(t *rapid.T) {
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	clear(m.twin.recent)
	m.open(t)
}

// Check implements rapid.StateMachine: every read agrees with the twin's.
func (m *machine) Check(t *rapid.T) {
	view, err := m.store.View()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	positions := m.checkAll(t, view)
	m.checkAllFrom(t, view, positions)
	for _, name := range []string{"a", "b", nested, "$$a", "$$b"} {
		m.checkStream(t, view, name)
	}
}

func (m *machine) checkAll(t *rapid.T, view *View) (positions []uint64) {
	got := collect(t, view.All(0, Forward))
	compareEvents(t, "$all", m.twin.log, got)
	last := uint64(0)
	for _, e := range got {
		if e.Position <= last {
			t.Fatalf("position %d follows %d", e.Position, last)
		}
		last = e.Position
		positions = append(positions, last)
	}
	if view.Last() != last {
		t.Fatalf("the view ends at %d, its last event is at %d", view.Last(), last)
	}
	return positions
}

func (m *machine) checkAllFrom(t *rapid.T, view *View, positions []uint64) {
	if len(positions) == 0 {
		return
	}
	i := rapid.IntRange(0, len(positions)-1).Draw(t, "from event")
	compareEvents(t, "$all from an event", m.twin.log[i:], collect(t, view.All(positions[i], Forward)))
	before := collect(t, view.All(positions[i], Backward))
	compareEvents(t, "$all before an event", reversed(m.twin.log[:i]), before)
	compareEvents(t, "$all backward", reversed(m.twin.log), collect(t, view.All(math.MaxUint64, Backward)))
}

func (m *machine) checkStream(t *rapid.T, view *View, name string) {
	state, err := view.State(name)
	if err != nil {
		t.Fatal(err)
	}
	if state.Tombstoned != m.twin.isOver(name) {
		t.Fatalf("stream %s: tombstoned is %v", name, state.Tombstoned)
	}
	if state.Tombstoned {
		return
	}
	visible := m.twin.visible(name)
	compareEvents(t, name, visible, collect(t, view.Stream(name, state, 0, Forward)))
	from := rapid.Int64Range(0, 12).Draw(t, "from revision")
	var after, before []Event
	for _, e := range visible {
		if e.Revision >= from {
			after = append(after, e)
		}
		if e.Revision <= from {
			before = append(before, e)
		}
	}
	compareEvents(t, name+" from a revision", after, collect(t, view.Stream(name, state, from, Forward)))
	compareEvents(t, name+" backward", reversed(before), collect(t, view.Stream(name, state, from, Backward)))
}

func reversed(events []Event) (turned []Event) {
	for i := len(events) - 1; i >= 0; i-- {
		turned = append(turned, events[i])
	}
	return turned
}

func collect(t interface{ Fatal(...any) }, records func(func(Record, error) bool)) (events []Event) {
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, r.Event())
	}
	return events
}

// compareEvents compares all but what the twin can't know: positions, and the
// ids that the store makes itself.
func compareEvents(t *rapid.T, what string, want, got []Event) {
	show := func(events []Event) (lines []string) {
		for _, e := range events {
			id := e.ID.String()
			if e.Type == stream.TombstoneType || e.Type == stream.MetadataType {
				id = "made by the store"
			}
			lines = append(lines, fmt.Sprintf("%d@%s %s %s json=%v %d %q %q", e.Revision, e.Stream, id, e.Type, e.JSON, e.Created, e.Data, e.Metadata))
		}
		return lines
	}
	if diff := cmp.Diff(show(want), show(got)); diff != "" {
		t.Fatalf("%s (-twin +store):\n%s", what, diff)
	}
}

func TestStoreAgreesWithItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{fs: vfs.NewMem(), twin: newTwin()}
		m.open(t)
		defer func() {
			if err := m.store.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		t.Repeat(rapid.StateMachineActions(m))
	})
}
