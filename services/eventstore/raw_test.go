package eventstore_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw is a connection without the client, for what the client never sends.
func (f *fixture) raw(options ...grpc.DialOption) *grpc.ClientConn {
	f.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(f.store.Addr(), options...)
	f.must(err)
	f.Cleanup(func() { _ = conn.Close() })
	return conn
}

var empty = &shared.Empty{}

func identified(name string) *shared.StreamIdentifier {
	return &shared.StreamIdentifier{StreamName: []byte(name)}
}

// appendTo is the first message of an append that expects any revision.
func appendTo(name string) *streams.AppendReq {
	return appendOptions(&streams.AppendReq_Options{
		StreamIdentifier: identified(name), ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: empty},
	})
}

func appendOptions(options *streams.AppendReq_Options) *streams.AppendReq {
	return &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: options}}
}

func textual(id string) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_String_{String_: id}}
}

// propose is a further message of an append: a whole event, unless change
// takes something from it.
func propose(change func(*streams.AppendReq_ProposedMessage)) *streams.AppendReq {
	message := &streams.AppendReq_ProposedMessage{
		Id:       textual(uuid.NewString()),
		Metadata: map[string]string{"type": "t", "content-type": "application/json"},
	}
	if change != nil {
		change(message)
	}
	return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: message}}
}

// sized is an event that counts n bytes.
func sized(n int) *streams.AppendReq {
	return propose(func(m *streams.AppendReq_ProposedMessage) { m.Data = make([]byte, n-len("t")) })
}

func repeated(n int, message func() *streams.AppendReq) (all []*streams.AppendReq) {
	for range n {
		all = append(all, message())
	}
	return all
}

// readOf is a read of $all, as options change it.
func readOf(change func(*streams.ReadReq_Options)) *streams.ReadReq {
	options := &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Start{Start: empty}}},
		CountOption:  &streams.ReadReq_Options_Count{Count: 10},
	}
	if change != nil {
		change(options)
	}
	return &streams.ReadReq{Options: options}
}

func live(options *streams.ReadReq_Options) {
	options.CountOption = &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
}

func ofStream(options *streams.ReadReq_Options, name string) {
	options.StreamOption = &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{StreamIdentifier: identified(name)}}
}

// filtered makes the read one by the prefixes or the pattern of types.
func filtered(options *streams.ReadReq_Options, pattern string, prefixes ...string) *streams.ReadReq_Options_FilterOptions {
	filter := &streams.ReadReq_Options_FilterOptions{
		Filter: &streams.ReadReq_Options_FilterOptions_EventType{
			EventType: &streams.ReadReq_Options_FilterOptions_Expression{Regex: pattern, Prefix: prefixes},
		},
		CheckpointIntervalMultiplier: 1,
	}
	options.FilterOption = &streams.ReadReq_Options_Filter{Filter: filter}
	return filter
}

// rawStreams are the calls of the protocol, with what comes back as it came.
type rawStreams struct {
	*fixture
	client streams.StreamsClient
}

func (f *fixture) rawStreams() *rawStreams {
	return &rawStreams{f, streams.NewStreamsClient(f.raw())}
}

func (r *rawStreams) append(messages ...*streams.AppendReq) (answer *streams.AppendResp, trailer metadata.MD, err error) {
	r.Helper()
	call, err := r.client.Append(r.ctx)
	r.must(err)
	for _, message := range messages {
		if err := call.Send(message); err != nil && !errors.Is(err, io.EOF) { // EOF: refused already
			r.Fatal(err)
		}
	}
	answer, err = call.CloseAndRecv()
	return answer, call.Trailer(), err
}

// read returns all messages of a read, however it ends.
func (r *rawStreams) read(request *streams.ReadReq) (messages []*streams.ReadResp, trailer metadata.MD, err error) {
	r.Helper()
	call, err := r.client.Read(r.ctx, request)
	r.must(err)
	for {
		message, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return messages, call.Trailer(), nil
		}
		if err != nil {
			return messages, call.Trailer(), err
		}
		messages = append(messages, message)
	}
}

func (r *rawStreams) delete(name string, expected any) (trailer metadata.MD, err error) {
	options := &streams.DeleteReq_Options{StreamIdentifier: identified(name)}
	switch e := expected.(type) {
	case int:
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_Revision{Revision: uint64(e)}
	case uint64:
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_Revision{Revision: e}
	case *shared.Empty:
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_Any{Any: e}
	}
	_, err = r.client.Delete(r.ctx, &streams.DeleteReq{Options: options}, grpc.Trailer(&trailer))
	return trailer, err
}

func (r *rawStreams) tombstone(name string, expected any) (trailer metadata.MD, err error) {
	options := &streams.TombstoneReq_Options{StreamIdentifier: identified(name)}
	switch e := expected.(type) {
	case int:
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_Revision{Revision: uint64(e)}
	case uint64:
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_Revision{Revision: e}
	case *shared.Empty:
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_Any{Any: e}
	}
	_, err = r.client.Tombstone(r.ctx, &streams.TombstoneReq{Options: options}, grpc.Trailer(&trailer))
	return trailer, err
}

// refusal is how a call is refused: its code, what the message says, and the
// trailer, as keys and values.
type refusal struct {
	code    codes.Code
	says    string
	trailer []string
}

// refusedAs is a refusal without a trailer.
func refusedAs(code codes.Code, says string) refusal { return refusal{code: code, says: says} }

func (want refusal) check(t *testing.T, trailer metadata.MD, err error) {
	t.Helper()
	if status.Code(err) != want.code || (err != nil && !strings.Contains(status.Convert(err).Message(), want.says)) {
		t.Errorf("answered %v, want %v that says %q", err, want.code, want.says)
	}
	delete(trailer, "content-type")
	if diff := cmp.Diff(metadata.Pairs(want.trailer...), trailer, cmp.Comparer(sameTrailers)); diff != "" {
		t.Errorf("trailer (-want +got):\n%s", diff)
	}
}

func sameTrailers(a, b metadata.MD) bool {
	return len(a) == len(b) && (len(a) == 0 || cmp.Equal(map[string][]string(a), map[string][]string(b)))
}

// unchanged returns a function that checks that $all is as it was, and that the
// store and the connection of r go on.
func (r *rawStreams) unchanged() func(*testing.T) {
	r.Helper()
	before := idsOf(r.readAll(esdb.ReadAllOptions{}))
	return func(t *testing.T) {
		t.Helper()
		if diff := cmp.Diff(before, idsOf(r.readAll(esdb.ReadAllOptions{}))); diff != "" {
			t.Errorf("$all changed (-before +after):\n%s", diff)
		}
		if _, _, err := r.append(appendTo("going on"), propose(nil)); err != nil {
			t.Errorf("the connection does not go on: %v", err)
		}
	}
}
