package server

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
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
	add(gossip.Gossip_ServiceDesc.ServiceName, "read")
	add(serverfeatures.ServerFeatures_ServiceDesc.ServiceName, "getsupportedmethods")
	return answer, nil
}

// gossiper answers who is in the cluster: this one, which leads.
type gossiper struct {
	gossip.UnimplementedGossipServer
	id   uuid.UUID
	addr net.Addr
}

// Read implements gossip.GossipServer.
func (g *gossiper) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	host, port, err := net.SplitHostPort(g.addr.String())
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		InstanceId:   structured.wire(g.id),
		TimeStamp:    time.Now().UnixNano() / 100,
		State:        gossip.MemberInfo_Leader,
		IsAlive:      true,
		HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(number)},
	}}}, nil
}
