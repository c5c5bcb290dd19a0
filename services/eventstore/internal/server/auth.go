package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

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
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(d.unary), grpc.ChainStreamInterceptor(d.stream)}
}

func (d doorkeeper) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := d.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

func (d doorkeeper) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := d.admit(stream.Context(), info.FullMethod); err != nil {
		if !info.IsServerStream {
			hearOut(stream)
		}
		return err
	}
	return handle(srv, stream)
}

// What is still received of a call that is refused.
const (
	heard     = 1000 // messages
	heardTime = time.Second
)

// hearOut receives what a caller sends who waits for one answer: one that is
// cut off while it sends sees a broken call instead of the reason.
func hearOut(stream grpc.ServerStream) {
	ended := make(chan struct{})
	go func() { // which the end of the call ends too
		defer close(ended)
		for range heard {
			var message emptypb.Empty // whose fields are all unknown, and are not looked at
			if stream.RecvMsg(&message) != nil {
				return
			}
		}
	}()
	timer := time.NewTimer(heardTime)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
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
