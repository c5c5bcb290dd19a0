// Package client calls the three services as a customer of the suite would: over
// gRPC, with idempotency keys, again and again until there is an answer.
package client

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// attemptTimeout bounds one attempt at a call, so that a service that hangs is
// asked again. It is longer than the longest wait for a decision (10 s).
const attemptTimeout = 15 * time.Second

// WithKey gives the call that is made with the context its idempotency key.
func WithKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
}

// Services holds clients of the three services. A call ends with an answer, with
// a refusal, or when its context ends: whatever may be repeated is repeated,
// with the same idempotency key.
type Services struct {
	Channel   channelv1.ChannelServiceClient
	Sales     salesv1.SalesServiceClient
	Marketing marketingv1.MarketingServiceClient

	connections []*grpc.ClientConn
}

// Dial returns clients of the services at these addresses. It does not wait for
// them.
func Dial(channel, sales, marketing string) (*Services, error) {
	s := &Services{}
	for _, addr := range []string{channel, sales, marketing} {
		connection, err := Connect(addr)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.connections = append(s.connections, connection)
	}
	s.speakOver(s.connections[0], s.connections[1], s.connections[2])
	return s, nil
}

// Over returns clients over connections that are there already, whatever they are
// made of, that do not hang. They are not closed with it.
func Over(channel, sales, marketing grpc.ClientConnInterface) *Services {
	s := &Services{}
	s.speakOver(repeating{channel}, repeating{sales}, repeating{marketing})
	return s
}

func (s *Services) speakOver(channel, sales, marketing grpc.ClientConnInterface) {
	s.Channel = channelv1.NewChannelServiceClient(channel)
	s.Sales = salesv1.NewSalesServiceClient(sales)
	s.Marketing = marketingv1.NewMarketingServiceClient(marketing)
}

// Connect returns a connection whose calls are repeated. It does not wait for the
// service.
func Connect(addr string) (*grpc.ClientConn, error) {
	connection, err := grpc.NewClient(addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(repeat),
		// By default a connection that was lost is tried less and less often, up
		// to once in two minutes: too seldom for a service that restarts.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return connection, nil
}

// Close closes the connections.
func (s *Services) Close() error {
	var errs []error
	for _, connection := range s.connections {
		errs = append(errs, connection.Close())
	}
	return errors.Join(errs...)
}

// repeat makes each call of a connection until it ends with an answer that stands.
func repeat(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return insist(ctx, path.Base(method)+" at "+conn.Target(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		return invoke(ctx, method, req, reply, conn, opts...)
	})
}

// repeating is a connection that does the same.
type repeating struct{ grpc.ClientConnInterface }

// Invoke implements grpc.ClientConnInterface.
func (r repeating) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return insist(ctx, path.Base(method), func(ctx context.Context) error {
		return r.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
	})
}

// insist attempts a call until it ends with an answer that stands.
func insist(ctx context.Context, call string, attempt func(context.Context) error) error {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: 20 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: time.Second,
	}
	pause.Reset()
	for {
		err := attempt(ctx)
		if err == nil || !Passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			//nolint:errorlint // the status of the last attempt must not pass for the answer
			return fmt.Errorf("%s: %w; the last answer was: %v", call, ctx.Err(), err)
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// Passing tells whether an error is of the kind that passes: a service or the
// store is away, slow, or was busy with the same thing.
func Passing(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted:
		return true
	default:
		return false
	}
}
