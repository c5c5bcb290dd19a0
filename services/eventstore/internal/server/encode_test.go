package server

import (
	"bytes"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// Sizes that lie on both sides of where a length takes one more byte.
var (
	anyBytes = rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 40),
		rapid.SampledFrom([][]byte{nil, make([]byte, 127), make([]byte, 128), make([]byte, 1<<14-1), make([]byte, 1<<14), bytes.Repeat([]byte("x"), 1<<16)}),
	)
	anyID   = rapid.Custom(func(t *rapid.T) (id uuid.UUID) { copy(id[:], drawBytes(t, 16, "id")); return id })
	anyForm = rapid.SampledFrom([]idForm{structured, textual})
	anyType = rapid.StringN(0, 20, 200)
)

func drawBytes(t *rapid.T, n int, name string) []byte {
	if rapid.Bool().Draw(t, name+" is zero") {
		return make([]byte, n)
	}
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name)
}

func drawEvent(t *rapid.T, name string) *storage.Event {
	return &storage.Event{
		NewEvent: storage.NewEvent{
			ID:       anyID.Draw(t, name+"'s id"),
			Type:     anyType.Draw(t, name+"'s type"),
			JSON:     rapid.Bool().Draw(t, name+" is JSON"),
			Data:     anyBytes.Draw(t, name+"'s data"),
			Metadata: anyBytes.Draw(t, name+"'s metadata"),
		},
		Stream:   string(anyBytes.Draw(t, name+"'s stream")),
		Revision: rapid.Int64Min(0).Draw(t, name+"'s revision"),
		Position: rapid.Uint64().Draw(t, name+"'s position"),
		Created:  storage.Ticks(rapid.Int64().Draw(t, name+"'s time")),
	}
}

func TestAnEncodedEventReadsAsItsStructs(t *testing.T) { rapid.Check(t, encodesAsStructs) }

func FuzzEncodeEvent(f *testing.F) { f.Fuzz(rapid.MakeFuzz(encodesAsStructs)) }

// encodesAsStructs compares the bytes that are written by hand with the structs
// that they stand for.
func encodesAsStructs(t *rapid.T) {
	ids := anyForm.Draw(t, "form")
	want := &streams.ReadResp_ReadEvent{}
	var records [2]*storage.Record
	shape := rapid.SampledFrom([]string{"event", "link", "both"}).Draw(t, "shape")
	if shape != "link" {
		e := drawEvent(t, "event")
		r := e.Record()
		want.Event, records[0] = ids.recorded(e), &r
	}
	if shape != "event" {
		e := drawEvent(t, "link")
		r := e.Record()
		want.Link, records[1] = ids.recorded(e), &r
	}
	position := rapid.Uint64().Draw(t, "position")
	want.Position = &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: position}

	before := anyBytes.Draw(t, "what is on the page already")
	b := appendEvent(bytes.Clone(before), ids, records[0], records[1], position)
	if !bytes.HasPrefix(b, before) {
		t.Fatal("what was on the page before is not there any more")
	}
	message := &streams.ReadResp{Content: &streams.ReadResp_Event{Event: want}}
	if n := proto.Size(message); len(b)-len(before) != n {
		t.Errorf("%d bytes were written for %d", len(b)-len(before), n)
	}
	got := &streams.ReadResp{}
	if err := proto.Unmarshal(b[len(before):], got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(message, got) { // cmp alone takes its time
		t.Errorf("what is read differs (-want +got):\n%s", cmp.Diff(message, got, protocmp.Transform()))
	}
}

func TestEncodingAnEventAllocatesNothing(t *testing.T) {
	event := storage.Event{
		NewEvent: storage.NewEvent{ID: uuid.New(), Type: "channel.ContactStarted", JSON: true, Data: make([]byte, 256), Metadata: make([]byte, 128)},
		Stream:   "contact-1", Revision: 12, Position: 34, Created: 17_000_000_000_000_000,
	}
	record, room := event.Record(), make([]byte, 0, 1024)
	allocations := testing.AllocsPerRun(100, func() { room = appendEvent(room[:0], structured, &record, nil, 34) })
	if allocations != 0 {
		t.Errorf("%v allocations an event", allocations)
	}
}
