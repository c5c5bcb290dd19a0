package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// asTheyAre sends messages as they are, whatever they hold.
type asTheyAre struct{}

func (asTheyAre) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (asTheyAre) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}
func (asTheyAre) Name() string { return "proto" }

// fuzzed is a store that is sent anything: it answers with a status or a valid
// message, soon, and goes on.
type fuzzed struct {
	*served
	conn  *grpc.ClientConn
	calls int
}

const (
	// A store is fuzzed for so many calls, and may take so much memory then.
	fuzzedCalls  = 1 << 12
	fuzzedAtMost = 512 << 20
)

var fuzzedLimits = Limits{AppendBytes: 256, MessageBytes: 1 << 20}

func (z *fuzzed) open() (err error) {
	z.calls = 0
	if z.served, err = start(Options{Limits: fuzzedLimits}); err != nil {
		return err
	}
	if z.conn, err = z.dial(); err != nil {
		return err
	}
	ctx := context.Background() // which store serves a call is not the call's affair
	for _, name := range []string{"s", "ended"} {
		_, e := z.store.Append(ctx, name, stream.Any, []storage.NewEvent{
			{ID: uuid.New(), Type: "t", Data: []byte("{}")}, {ID: uuid.New(), Type: stream.LinkType, Data: []byte("0@s")},
		})
		err = errors.Join(err, e)
	}
	_, e := z.store.Tombstone(ctx, "ended", stream.Any)
	group := &persistent.CreateReq{Options: &persistent.CreateReq_Options{
		GroupName: "g", Settings: &persistent.CreateReq_Settings{},
		StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{StreamIdentifier: identifier("s")}},
	}}
	_, _ = persistent.NewPersistentSubscriptionsClient(z.conn).Create(ctx, group) // for those who ask for one
	return errors.Join(err, e)
}

func (z *fuzzed) close() error { return errors.Join(z.conn.Close(), z.stop()) }

// renew gives the next calls a new store when this one has served enough, and
// looks at its memory before.
func (z *fuzzed) renew(t *testing.T) {
	t.Helper()
	if z.calls++; z.calls < fuzzedCalls {
		return
	}
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	if stats.HeapAlloc > fuzzedAtMost {
		t.Errorf("%d bytes are in use after %d calls", stats.HeapAlloc, z.calls)
	}
	if err := errors.Join(z.close(), z.open()); err != nil {
		t.Fatal(err)
	}
}

// call sends messages and returns what comes back: all of it or, of a
// subscription, the confirmation.
func (z *fuzzed) call(t *testing.T, method string, answer proto.Message, messages ...[]byte) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call, err := z.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodec(asTheyAre{}))
	if err != nil {
		t.Fatalf("the store does not answer any more: %v", err)
	}
	for i := range messages {
		if err := call.SendMsg(&messages[i]); err != nil {
			break // why is what is received
		}
	}
	_ = call.CloseSend()
	for {
		var got []byte
		err := call.RecvMsg(&got)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			checkStatus(t, err)
			return err
		}
		if err := proto.Unmarshal(got, answer); err != nil {
			t.Fatalf("the answer %x is malformed: %v", got, err)
		}
		switch a := answer.(type) {
		case *streams.ReadResp:
			if a.GetConfirmation() != nil {
				return nil
			}
		case *persistent.ReadResp:
			if a.GetSubscriptionConfirmation() != nil {
				return nil
			}
		}
	}
}

// checkStatus lets pass what says whose fault it was: the caller's.
func checkStatus(t *testing.T, err error) {
	t.Helper()
	switch code := status.Code(err); code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.ResourceExhausted, codes.Unimplemented, codes.Canceled:
	case codes.Internal: // a message that is no protobuf is gRPC's to refuse
		if !strings.Contains(err.Error(), "failed to unmarshal the received message") {
			t.Errorf("failed with %v", err)
		}
	default:
		t.Errorf("failed with %v", err)
	}
}

// last is the position of the last event.
func (z *fuzzed) last(t *testing.T) uint64 {
	t.Helper()
	view, err := z.store.View()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	return view.Last()
}

// fuzzCalls fuzzes a method that takes any number of messages. wrote tells, of
// an answer to a call that did not fail, whether something was written.
func fuzzCalls(f *testing.F, method string, answer proto.Message, wrote func() bool, messages func(first, second, third []byte) [][]byte) {
	z := &fuzzed{}
	if err := z.open(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := z.close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		z.renew(t)
		proto.Reset(answer)
		before := z.last(t)
		err := z.call(t, method, answer, messages(first, second, third)...)
		if after := z.last(t); after != before && (err != nil || !wrote()) {
			t.Errorf("the call (%v, %v) wrote something: %d follows %d", answer, err, after, before)
		}
		if _, err := z.store.Append(t.Context(), "going on", stream.Any, []storage.NewEvent{{ID: uuid.New(), Type: "t"}}); err != nil {
			t.Fatalf("the store takes no writes any more: %v", err)
		}
	})
}

func one(first, _, _ []byte) [][]byte            { return [][]byte{first} }
func three(first, second, third []byte) [][]byte { return [][]byte{first, second, third} }

func never() bool  { return false }
func always() bool { return true }

// seed is a message that is well formed.
func seed(message proto.Message) []byte {
	b, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return b
}

var (
	nothing = &shared.Empty{}
	someID  = textual.wire(uuid.UUID{1})
)

func FuzzAppend(f *testing.F) {
	options := func(name string) []byte {
		return seed(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
			StreamIdentifier: identifier(name), ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: nothing},
		}}})
	}
	event := func(id *shared.UUID, eventType string, data []byte) []byte {
		return seed(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: id, Metadata: map[string]string{keyType: eventType, keyContentType: contentJSON}, Data: data,
		}}})
	}
	f.Add(options("s"), event(structured.wire(uuid.UUID{7}), "t", nil), event(someID, stream.LinkType, []byte("0@s")))
	f.Add(options("$$s"), event(someID, stream.MetadataType, []byte(`{"$maxCount":1,"$tb":9223372036854775807}`)), event(someID, stream.MetadataType, []byte(`{"$maxAge":-1e99}`)))
	f.Add(options("$all"), event(someID, "", nil), options("s"))
	f.Add(options("ended"), event(someID, "t", make([]byte, 300)), []byte{})
	answer := &streams.AppendResp{}
	fuzzCalls(f, streams.Streams_Append_FullMethodName, answer, func() bool { return answer.GetSuccess() != nil }, three)
}

func FuzzRead(f *testing.F) {
	live := &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
	all := &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Position{Position: &streams.ReadReq_Options_Position{CommitPosition: 1, PreparePosition: 1}}}}
	of := &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{StreamIdentifier: identifier("s"), RevisionOption: &streams.ReadReq_Options_StreamOptions_Revision{Revision: 1}}}
	filtered := &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
		Filter:                       &streams.ReadReq_Options_FilterOptions_StreamIdentifier{StreamIdentifier: &streams.ReadReq_Options_FilterOptions_Expression{Regex: "(s|t){3,}"}},
		Window:                       &streams.ReadReq_Options_FilterOptions_Max{Max: 2},
		CheckpointIntervalMultiplier: 1,
	}}
	for _, options := range []*streams.ReadReq_Options{
		{StreamOption: all, CountOption: live},
		{StreamOption: all, CountOption: live, FilterOption: filtered},
		{StreamOption: of, CountOption: live, ResolveLinks: true},
		{StreamOption: all, CountOption: &streams.ReadReq_Options_Count{Count: 5}, ReadDirection: streams.ReadReq_Options_Backwards, ResolveLinks: true},
		{StreamOption: of, CountOption: &streams.ReadReq_Options_Count{Count: 5}},
	} {
		f.Add(seed(&streams.ReadReq{Options: options}), []byte{}, []byte{})
	}
	fuzzCalls(f, streams.Streams_Read_FullMethodName, &streams.ReadResp{}, never, one)
}

func FuzzDelete(f *testing.F) {
	for _, name := range []string{"s", "ended", "$$s", ""} {
		f.Add(seed(&streams.DeleteReq{Options: &streams.DeleteReq_Options{
			StreamIdentifier: identifier(name), ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: 1},
		}}), []byte{}, []byte{})
	}
	fuzzCalls(f, streams.Streams_Delete_FullMethodName, &streams.DeleteResp{}, always, one)
}

func FuzzTombstone(f *testing.F) {
	for _, name := range []string{"s", "ended", "$$s", ""} {
		f.Add(seed(&streams.TombstoneReq{Options: &streams.TombstoneReq_Options{
			StreamIdentifier: identifier(name), ExpectedStreamRevision: &streams.TombstoneReq_Options_Any{Any: nothing},
		}}), []byte{}, []byte{})
	}
	fuzzCalls(f, streams.Streams_Tombstone_FullMethodName, &streams.TombstoneResp{}, always, one)
}

func idsOf(n byte) (ids []*shared.UUID) {
	for i := range n {
		ids = append(ids, structured.wire(uuid.UUID{i}))
	}
	return ids
}
