package storage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

func FuzzRecordRoundTrip(f *testing.F) {
	f.Add("s", "t", []byte("data"), []byte("metadata"), int64(7), int64(9), true)
	f.Add("", "", []byte{}, []byte{}, int64(0), int64(-1), false)
	f.Fuzz(func(t *testing.T, name, typ string, data, metadata []byte, revision, created int64, json bool) {
		want := Event{
			NewEvent: NewEvent{ID: uuid.New(), Type: typ, JSON: json, Data: data, Metadata: metadata},
			Stream:   name, Revision: revision, Position: 5, Created: Ticks(created),
		}
		encoded := appendRecord(nil, &want)
		if len(encoded) != recordLen(&want) {
			t.Errorf("the record has %d bytes, %d were reserved", len(encoded), recordLen(&want))
		}
		record, err := decodeRecord(5, encoded)
		if err != nil {
			t.Fatal(err)
		}
		if got := record.Event(); !got.Equal(&want) {
			t.Errorf("decoded %+v, want %+v", got, want)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	whole := appendRecord(nil, &Event{NewEvent: NewEvent{Type: "t", Data: []byte("d")}, Stream: "s"})
	f.Add(whole)
	for i := range whole {
		f.Add(whole[:i])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		record, err := decodeRecord(1, b)
		if err != nil {
			return
		}
		event := record.Event()
		if got := len(event.Data) + len(event.Metadata) + len(event.Type) + len(event.Stream); got > len(b) {
			t.Errorf("%d bytes hold fields of %d bytes", len(b), got)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	f.Add(encodeState(stream.Missing))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		state, err := decodeState(b)
		if err != nil {
			return
		}
		again, err := decodeState(encodeState(state))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(state, again); diff != "" {
			t.Errorf("state (-first +again):\n%s", diff)
		}
	})
}

func TestRecordsThatAreMalformed(t *testing.T) {
	whole := appendRecord(nil, &Event{NewEvent: NewEvent{Type: "t", Metadata: []byte("m")}, Stream: "s"})
	for i := range whole { // the data is empty, so every byte is needed
		if _, err := decodeRecord(1, whole[:i]); err == nil {
			t.Errorf("%d of %d bytes are taken for a record", i, len(whole))
		}
	}
	later := append([]byte(nil), whole...)
	later[0] = recordVersion + 1
	if _, err := decodeRecord(1, later); err == nil {
		t.Error("a record of a later version is taken for one of this")
	}
}

func TestStateRoundTrip(t *testing.T) {
	cases := map[string]stream.State{
		"missing":      stream.Missing,
		"bounded":      {Last: stream.None, Limits: stream.Limits{MaxCount: 300}},
		"all there is": {Last: stream.None, Tombstoned: true, HasMetadata: true, Limits: stream.Limits{TruncateBefore: stream.MaxRevision, MaxCount: 5, MaxAge: time.Hour}},
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := decodeState(encodeState(want))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIDCacheForgetsTheOldest(t *testing.T) {
	cache := newIDCache(2)
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for i, id := range ids {
		cache.add(id, place{stream: "s", revision: int64(i)})
		cache.add(id, place{stream: "s", revision: int64(10 + i)}) // again, elsewhere
	}
	if _, known := cache.find(ids[0]); known {
		t.Error("the oldest id is still known")
	}
	for i, id := range ids[1:] {
		if at, known := cache.find(id); !known || at.revision != int64(11+i) {
			t.Errorf("id %d is at %+v, known: %v", i+1, at, known)
		}
	}
	if len(cache.places) != 2 {
		t.Errorf("%d ids are remembered, want 2", len(cache.places))
	}
}
