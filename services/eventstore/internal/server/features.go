package server

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	persistentpb "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// protocolVersion is the version of EventStoreDB whose protocol is spoken.
// Clients switch features by it, so its parts must be numbers.
const protocolVersion = "24.6.0"

// features answers which calls are supported. Names are in lower case, as
// clients compare them.
type features struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

// GetSupportedMethods implements serverfeatures.ServerFeaturesServer.
func (features) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	answer := &serverfeatures.SupportedMethods{EventStoreServerVersion: protocolVersion}
	add := func(service, method string, features ...string) {
		answer.Methods = append(answer.Methods, &serverfeatures.SupportedMethod{
			ServiceName: strings.ToLower(service), MethodName: method, Features: features,
		})
	}
	for _, method := range []string{"append", "delete", "tombstone"} {
		add(streams.Streams_ServiceDesc.ServiceName, method)
	}
	add(streams.Streams_ServiceDesc.ServiceName, "read", "position", "events")
	for _, method := range []string{"create", "update", "delete", "read"} {
		add(persistentpb.PersistentSubscriptions_ServiceDesc.ServiceName, method, "stream", "all")
	}
	for _, method := range []string{"getinfo", "replayparked", "list", "restartsubsystem"} {
		add(persistentpb.PersistentSubscriptions_ServiceDesc.ServiceName, method)
	}
	add(gossip.Gossip_ServiceDesc.ServiceName, "read")
	add(serverfeatures.ServerFeatures_ServiceDesc.ServiceName, "getsupportedmethods")
	return answer, nil
}

// gossiper answers who is in the cluster: this one, which leads.
type gossiper struct {
	gossip.UnimplementedGossipServer
	id uuid.UUID
}

// Read implements gossip.GossipServer. Clients are told the address that they
// reached already: a store that listens on all of its addresses can't know
// which of them a client can reach.
func (g *gossiper) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	reached, ok := peer.FromContext(ctx)
	if !ok || reached.LocalAddr == nil {
		return nil, status.Error(codes.Internal, "the connection has no address")
	}
	addr, err := netip.ParseAddrPort(reached.LocalAddr.String())
	if err != nil {
		return nil, status.Errorf(codes.Internal, "the connection's address: %v", err)
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		InstanceId:   structured.wire(g.id),
		TimeStamp:    int64(storage.TicksOf(time.Now())),
		State:        gossip.MemberInfo_Leader,
		IsAlive:      true,
		HttpEndPoint: &gossip.EndPoint{Address: addr.Addr().Unmap().String(), Port: uint32(addr.Port())},
	}}}, nil
}
