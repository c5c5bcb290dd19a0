package eventstore_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
)

// stub is a server that stores nothing: what the protocol and the client cost
// by themselves. Its appends wait for a sync of a file, shared by all who wait,
// as any durable store's must.
type stub struct {
	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
	queue  chan stubAppend
	stored int
	event  *streams.ReadResp
}

type stubAppend struct {
	bytes int
	done  chan struct{}
}

// startStub returns a function that makes clients of a stub which holds so
// many events.
func startStub(b *testing.B, stored int) (client func() *esdb.Client) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	s := &stub{queue: make(chan stubAppend, 1024), stored: stored, event: stubEvent()}
	go s.sync(file)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(17 << 20))
	streams.RegisterStreamsServer(server, s)
	serverfeatures.RegisterServerFeaturesServer(server, s)
	go func() { _ = server.Serve(listener) }() // ends with the benchmark
	b.Cleanup(server.Stop)
	return func() *esdb.Client {
		config, err := esdb.ParseConnectionString("esdb://" + listener.Addr().String() + "?tls=false")
		if err != nil {
			b.Fatal(err)
		}
		config.Logger = esdb.NoopLogging()
		client, err := esdb.NewClient(config)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = client.Close() })
		return client
	}
}

func stubEvent() *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{MostSignificantBits: 1 << 60, LeastSignificantBits: 1 << 61}}},
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("s1234")},
			StreamRevision:   300, PreparePosition: 1 << 30, CommitPosition: 1 << 30,
			Metadata: map[string]string{"type": "bench.Happened", "content-type": "application/json", "created": strconv.FormatInt(time.Now().UnixNano()/100, 10)},
			Data:     make([]byte, benchPayload),
		},
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: 1 << 30},
	}}}
}

// sync writes what waits and syncs once for all of it.
func (s *stub) sync(file *os.File) {
	for first := range s.queue {
		group, bytes := []stubAppend{first}, first.bytes
	taking:
		for {
			select {
			case next := <-s.queue:
				group, bytes = append(group, next), bytes+next.bytes
			default:
				break taking
			}
		}
		if _, err := file.Write(make([]byte, bytes)); err != nil {
			panic(err)
		}
		if err := file.Sync(); err != nil {
			panic(err)
		}
		for _, waiting := range group {
			close(waiting.done)
		}
	}
}

// Append implements streams.StreamsServer.
func (s *stub) Append(call streams.Streams_AppendServer) error {
	one := stubAppend{done: make(chan struct{})}
	for {
		message, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		one.bytes += len(message.GetProposedMessage().GetData())
	}
	s.queue <- one
	<-one.done
	return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{}}})
}

// Read implements streams.StreamsServer.
func (s *stub) Read(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
	confirmed := &streams.ReadResp{Content: &streams.ReadResp_Confirmation{Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "s"}}}
	if err := call.Send(confirmed); err != nil {
		return err
	}
	for range s.stored {
		if err := call.Send(s.event); err != nil {
			return err
		}
	}
	<-call.Context().Done()
	return nil
}
