package esdb_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// node is a store of which a test writes the answers: those that the real one
// gives too seldom.
type node struct {
	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
	append  func(streams.Streams_AppendServer) error
	read    func(*streams.ReadReq, streams.Streams_ReadServer) error
	appends atomic.Int64
	addr    *net.TCPAddr
}

func (n *node) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: "24.6.0"}, nil
}

func (n *node) Append(stream streams.Streams_AppendServer) error {
	n.appends.Add(1)
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return n.append(stream)
		} else if err != nil {
			return err
		}
	}
}

func (n *node) Read(request *streams.ReadReq, stream streams.Streams_ReadServer) error {
	return n.read(request, stream)
}

// serve starts n and returns a log in it.
func serve(t *testing.T, n *node) *esdb.Log {
	t.Helper()
	start(t, n)
	return open(t, "esdb://"+n.addr.String()+"?tls=false")
}

func start(t *testing.T, n *node) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = listener.Addr().(*net.TCPAddr)
	server := grpc.NewServer()
	streams.RegisterStreamsServer(server, n)
	serverfeatures.RegisterServerFeaturesServer(server, n)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// sentOn answers that the leader is at addr.
func sentOn(trailers interface{ SetTrailer(metadata.MD) }, addr *net.TCPAddr) error {
	trailers.SetTrailer(metadata.Pairs("exception", "not-leader",
		"leader-endpoint-host", addr.IP.String(), "leader-endpoint-port", strconv.Itoa(addr.Port)))
	return status.Error(codes.NotFound, "Leader info available")
}

func fail(code codes.Code, words string) func(streams.Streams_AppendServer) error {
	return func(streams.Streams_AppendServer) error { return status.Error(code, words) }
}

func succeed(stream streams.Streams_AppendServer) error {
	return stream.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: 7},
		PositionOption: &streams.AppendResp_Success_Position{
			Position: &streams.AppendResp_Position{CommitPosition: 30, PreparePosition: 20},
		},
	}}})
}

func TestWhatTheStoreSaysOfAnAppendIsUnderstood(t *testing.T) {
	cases := map[string]struct {
		answer func(streams.Streams_AppendServer) error
		want   error
	}{
		"a wrong revision, as older stores say it": {
			fail(codes.FailedPrecondition, "Append failed due to WrongExpectedVersion. Stream: contact-1, Expected version: 1, Actual version: 0"),
			eventlog.ErrWrongRevision,
		},
		"a deleted stream, told in words": {
			fail(codes.FailedPrecondition, "Event stream 'contact-1' is deleted."), eventlog.ErrTombstoned,
		},
		"a deleted stream, told in trailers": {
			func(stream streams.Streams_AppendServer) error {
				stream.SetTrailer(metadata.Pairs("exception", "stream-deleted", "stream-name", "contact-1"))
				return status.Error(codes.FailedPrecondition, "gone")
			}, eventlog.ErrTombstoned,
		},
		"too large": {
			fail(codes.InvalidArgument, "Maximum Append Size of 1048576 Exceeded."), eventlog.ErrTooLarge,
		},
		"a message too large for gRPC": {
			fail(codes.ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"), eventlog.ErrTooLarge,
		},
		"nobody knows who it is": {fail(codes.Unauthenticated, "Not Authenticated"), eventlog.ErrDenied},
		"it is not allowed":      {fail(codes.PermissionDenied, "Access Denied"), eventlog.ErrDenied},
		"not ready":              {fail(codes.Unavailable, "Server Is Not Ready"), eventlog.ErrUnavailable},
		"too busy":               {fail(codes.Unavailable, "Server Is Too Busy"), eventlog.ErrUnavailable},
		"a write that timed out": {fail(codes.Aborted, "Operation timed out: WriteTimeout"), eventlog.ErrUnavailable},
		"a connection that was closed under it": {
			fail(codes.Canceled, "grpc: the client connection is closing"), eventlog.ErrUnavailable,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n := &node{append: tc.answer}
			log := serve(t, n)
			_, err := log.Append(t.Context(), "contact-1", eventlog.At(1), events(1)...)
			if !errors.Is(err, tc.want) {
				t.Errorf("error is %v, want %v", err, tc.want)
			}
			if times := n.appends.Load(); times != 1 {
				t.Errorf("the append was sent %d times: what may have taken effect must not be repeated", times)
			}
		})
	}
}

func TestWhatThePortHasNoErrorForKeepsItsWords(t *testing.T) {
	log := serve(t, &node{append: fail(codes.DataLoss, "Bits Have Rotted")})
	_, err := log.Append(t.Context(), "contact-1", eventlog.Any, events(1)...)
	for _, known := range []error{
		eventlog.ErrWrongRevision, eventlog.ErrNoStream, eventlog.ErrTombstoned, eventlog.ErrUnavailable, eventlog.ErrDenied, eventlog.ErrTooLarge,
	} {
		if errors.Is(err, known) {
			t.Errorf("error is %v, which is no %v", err, known)
		}
	}
	if got := status.Code(errors.Unwrap(errors.Unwrap(err))); got != codes.DataLoss {
		t.Errorf("status of %v is %v, want DataLoss", err, got)
	}
}

func TestAnAppendFollowsTheClustersLeader(t *testing.T) {
	leader := &node{append: succeed}
	start(t, leader)
	follower := &node{append: func(stream streams.Streams_AppendServer) error { return sentOn(stream, leader.addr) }}
	log := serve(t, follower)
	appended, err := log.Append(t.Context(), "contact-1", eventlog.Any, events(1)...)
	if err != nil {
		t.Fatal(err)
	}
	want := eventlog.Appended{Revision: 7, Position: eventlog.Position{Commit: 30, Prepare: 20}}
	if appended != want {
		t.Errorf("answer is %+v, want %+v", appended, want)
	}
	if f, l := follower.appends.Load(), leader.appends.Load(); f != 1 || l != 1 {
		t.Errorf("sent %d times to the follower and %d times to the leader, want once each", f, l)
	}
}

func TestAReadAsksForTheClustersLeaderAndFollowsIt(t *testing.T) {
	leader := &node{read: func(_ *streams.ReadReq, stream streams.Streams_ReadServer) error {
		return sendEvent(stream, 4, 50)
	}}
	start(t, leader)
	log := serve(t, &node{read: func(_ *streams.ReadReq, stream streams.Streams_ReadServer) error {
		asked, _ := metadata.FromIncomingContext(stream.Context())
		if wants := asked.Get("requires-leader"); len(wants) != 1 || wants[0] != "true" {
			return sendEvent(stream, 3, 40) // a follower that lags
		}
		return sentOn(stream, leader.addr)
	}})
	read := 0
	for event, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Backward, math.MaxUint64, 1) {
		if read++; err != nil || event.Revision != 4 {
			t.Errorf("read revision %d, %v, want the leader's 4", event.Revision, err)
		}
	}
	if read != 1 {
		t.Errorf("read %d events, want 1", read)
	}
}

// TestAClientThatHangsIsReplaced sends the client on to a leader that takes the
// connection and says nothing: the client then waits for it inside the next
// calls, far longer than they have time.
func TestAClientThatHangsIsReplaced(t *testing.T) {
	bystanders := lookForBystanders(t)
	leader := &node{}
	start(t, leader)
	line := newWire(t, leader.addr.String())
	line.freeze()
	n := &node{}
	n.append = func(stream streams.Streams_AppendServer) error {
		if n.appends.Load() == 1 {
			return sentOn(stream, line.listener.Addr().(*net.TCPAddr))
		}
		return succeed(stream)
	}
	start(t, n)
	log := open(t, "esdb://"+n.addr.String()+"?tls=false&gossipTimeout=600")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if _, err := log.Append(ctx, "contact-1", eventlog.Any, events(1)...); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("error is %v, want ErrUnavailable", err)
	}
	eventually(t, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		_, err := log.Append(ctx, "contact-1", eventlog.Any, events(1)...)
		return err
	})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	line.melt() // only now the stuck client goes on, to its end
	awaitNothingLeft(t, bystanders)
}

func TestAnAppendAfterAnAnswerOfUnavailableGoesThrough(t *testing.T) {
	n := &node{}
	n.append = func(stream streams.Streams_AppendServer) error {
		if n.appends.Load() == 1 {
			return status.Error(codes.Unavailable, "Server Is Not Ready")
		}
		return succeed(stream)
	}
	log := serve(t, n)
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, events(1)...); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("error is %v, want ErrUnavailable", err)
	}
	if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, events(1)...); err != nil {
		t.Fatal(err)
	}
}

func confirm(stream streams.Streams_ReadServer) error {
	return stream.Send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}})
}

func sendEvent(stream streams.Streams_ReadServer, revision, position uint64) error {
	id := uuid.NewString()
	return stream.Send(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               &shared.UUID{Value: &shared.UUID_String_{String_: id}},
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("contact-1")},
			StreamRevision:   revision, CommitPosition: position, PreparePosition: position,
			Metadata: map[string]string{"type": "channel.ContactStarted", "created": "17000000000000000"},
		},
	}}})
}

func sendCheckpoint(stream streams.Streams_ReadServer, position uint64) error {
	return stream.Send(&streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{
		Checkpoint: &streams.ReadResp_Checkpoint{CommitPosition: position, PreparePosition: position},
	}})
}

// TestASubscriptionThatIsDroppedGoesOnWhereItWas drops it twice, and lets the
// store repeat what it had sent already.
func TestASubscriptionThatIsDroppedGoesOnWhereItWas(t *testing.T) {
	var began atomic.Int64
	starts := make(chan *streams.ReadReq_Options_AllOptions, 10)
	n := &node{read: func(request *streams.ReadReq, stream streams.Streams_ReadServer) error {
		starts <- request.GetOptions().GetAll()
		last := uint64(began.Add(1)) * 2
		err := confirm(stream)
		for position := uint64(1); position <= last; position++ {
			err = errors.Join(err, sendEvent(stream, position-1, position*10))
		}
		err = errors.Join(err, sendCheckpoint(stream, last*10+5), sendCheckpoint(stream, 7))
		if err != nil || last == 6 {
			<-stream.Context().Done()
			return err
		}
		return status.Error([]codes.Code{codes.Internal, codes.OK}[last/2-1], "dropped")
	}}
	log := serve(t, n)
	subscription, err := log.SubscribeAll(t.Context(), eventlog.AllOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer subscription.Close()
	var got []uint64
	for len(got) < 9 {
		message, open := <-subscription.Messages()
		if !open {
			t.Fatal(subscription.Err())
		}
		got = append(got, message.Position.Commit)
	}
	want := []uint64{10, 20, 25, 30, 40, 45, 50, 60, 65}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("delivered at %v, want %v", got, want)
		}
	}
	if first := <-starts; first.GetStart() == nil {
		t.Errorf("the first subscription began at %v, want the start", first)
	}
	for _, want := range []uint64{25, 45} {
		if start := <-starts; start.GetPosition().GetCommitPosition() != want {
			t.Errorf("subscribed again from %v, want %d", start, want)
		}
	}
}

func TestASubscriptionThatIsDroppedWithoutAReasonAsksWhetherItsStreamIsDeleted(t *testing.T) {
	log := serve(t, &node{read: func(request *streams.ReadReq, stream streams.Streams_ReadServer) error {
		if request.GetOptions().GetSubscription() != nil {
			return errors.Join(confirm(stream), status.Error(codes.Unknown, "dropped"))
		}
		stream.SetTrailer(metadata.Pairs("exception", "stream-deleted", "stream-name", "contact-1"))
		return status.Error(codes.FailedPrecondition, "gone")
	}})
	subscription, err := log.SubscribeStream(t.Context(), "contact-1", eventlog.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range subscription.Messages() {
		t.Error("a message has come")
	}
	if err := subscription.Err(); !errors.Is(err, eventlog.ErrTombstoned) {
		t.Errorf("ended with %v, want ErrTombstoned", err)
	}
}

func TestASubscriptionEndsWhenSubscribingAgainCannotHelp(t *testing.T) {
	for name, code := range map[string]codes.Code{
		"it is not allowed":         codes.PermissionDenied,
		"nobody knows who it is":    codes.Unauthenticated,
		"the store refuses a regex": codes.InvalidArgument,
	} {
		t.Run(name, func(t *testing.T) {
			log := serve(t, &node{read: func(*streams.ReadReq, streams.Streams_ReadServer) error {
				return status.Error(code, "no")
			}})
			subscription, err := log.SubscribeAll(t.Context(), eventlog.AllOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for range subscription.Messages() {
				t.Error("a message has come")
			}
			err = subscription.Err()
			if denied := code != codes.InvalidArgument; err == nil || errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrDenied) != denied {
				t.Errorf("ended with %v", err)
			}
		})
	}
}
