package server

import (
	"context"
	"errors"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// anonymous are the services that clients ask before they give credentials,
// to find out whom they talk to. They tell nothing of events.
var anonymous = []string{
	serverfeatures.ServerFeatures_ServiceDesc.ServiceName,
	gossip.Gossip_ServiceDesc.ServiceName,
}

// doorkeeper lets calls in that have a user's credentials.
type doorkeeper struct {
	users *users.Users
}

// options are the gRPC server's when calls need credentials.
func (d doorkeeper) options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.UnaryInterceptor(d.unary), grpc.StreamInterceptor(d.stream)}
}

func (d doorkeeper) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := d.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

func (d doorkeeper) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := d.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handle(srv, stream)
}

func (d doorkeeper) admit(ctx context.Context, method string) error {
	for _, service := range anonymous {
		if strings.HasPrefix(method, "/"+service+"/") {
			return nil
		}
	}
	err := d.users.Authenticate(ctx, metadata.ValueFromIncomingContext(ctx, "authorization"))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	default:
		return status.Error(codes.Unauthenticated, err.Error())
	}
}
