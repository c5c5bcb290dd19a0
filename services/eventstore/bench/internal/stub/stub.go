// Package stub is a server of EventStoreDB's protocol that stores nothing: what
// the protocol and its client cost by themselves. Its appends wait for a sync
// of a raw log, shared by all who wait, as any durable store's must.
package stub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
)

// Stub is a stub that runs.
type Stub struct {
	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
	addr   string
	log    *peer.RawLog
	events int
	event  *streams.ReadResp
	server *grpc.Server
	served chan error
}

// Start starts a stub with its raw log in folder dir. Whoever reads it gets so
// many events.
func Start(ctx context.Context, dir string, events int) (*Stub, error) {
	log, err := peer.OpenRawLog(dir)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the stub: %w", err), log.Close())
	}
	s := &Stub{
		addr: listener.Addr().String(), log: log, events: events, event: event(),
		served: make(chan error, 1),
		server: grpc.NewServer(grpc.MaxRecvMsgSize(17<<20),
			// The client pings every 10 s; the default policy cuts it off for that.
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true})),
	}
	streams.RegisterStreamsServer(s.server, s)
	serverfeatures.RegisterServerFeaturesServer(s.server, s)
	go func() { s.served <- s.server.Serve(listener) }()
	return s, nil
}

// Addr is where the stub listens.
func (s *Stub) Addr() string { return s.addr }

// Close cuts its connections and ends it.
func (s *Stub) Close() error {
	s.server.Stop()
	return errors.Join(<-s.served, s.log.Close())
}

func event() *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{MostSignificantBits: 1 << 60, LeastSignificantBits: 1 << 61}}},
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("s1-1234")},
			StreamRevision:   300, PreparePosition: 1 << 30, CommitPosition: 1 << 30,
			Metadata: map[string]string{"type": "bench.Happened", "content-type": "application/json", "created": strconv.FormatInt(time.Now().UnixNano()/100, 10)},
			Data:     peer.Payload,
		},
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: 1 << 30},
	}}}
}

// Append implements streams.StreamsServer.
func (s *Stub) Append(call streams.Streams_AppendServer) error {
	var payload []byte
	for {
		message, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		payload = append(payload, message.GetProposedMessage().GetData()...)
	}
	if err := s.log.Append(payload); err != nil {
		return err
	}
	return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{}}})
}

// Read implements streams.StreamsServer.
func (s *Stub) Read(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
	confirmed := &streams.ReadResp{Content: &streams.ReadResp_Confirmation{Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "s"}}}
	if err := call.Send(confirmed); err != nil {
		return err
	}
	for range s.events {
		if err := call.Send(s.event); err != nil {
			return err
		}
	}
	<-call.Context().Done()
	return nil
}
