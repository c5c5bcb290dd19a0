// Package hosttest runs whole services for their tests, and reads what they
// append.
package hosttest

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Running is a service that runs.
type Running struct {
	// Conn leads to its gRPC API, URL to its REST API.
	Conn *grpc.ClientConn
	URL  string
	// Stop stops it in good order. It is called once.
	Stop func()
}

// Start runs a service, which serves on loopback addresses that it tells bound.
func Start(t testing.TB, run func(ctx context.Context, bound func(serve.Addresses)) error) Running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	bound, ended := make(chan serve.Addresses, 1), make(chan error, 1)
	go func() { ended <- run(ctx, func(at serve.Addresses) { bound <- at }) }()
	var at serve.Addresses
	select {
	case at = <-bound:
	case err := <-ended:
		cancel()
		t.Fatalf("the service ended at its start: %v", err)
	}
	conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	return Running{Conn: conn, URL: "http://" + at.HTTP, Stop: func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}}
}

// Serve serves a service's options on free ports, with their telemetry, or with one
// that nobody sees.
func Serve(t testing.TB, service string, options serve.Options) Running {
	t.Helper()
	return Start(t, func(ctx context.Context, bound func(serve.Addresses)) (err error) {
		options.HTTPAddr, options.GRPCAddr, options.Bound = "127.0.0.1:0", "127.0.0.1:0", bound
		if options.Telemetry == nil {
			options.Telemetry, err = telemetry.Start(ctx, telemetry.Settings{Service: service, Output: io.Discard})
		}
		if err != nil {
			return err
		}
		return serve.Run(ctx, options)
	})
}

// Events returns the events of a stream; none when there is no such stream.
func Events(t testing.TB, s *decider.Streams, stream string) (events []codec.Event) {
	t.Helper()
	// Not the test's own context: a clean-up may look at a stream, too.
	ctx := context.Background()
	for raw, err := range s.Log.ReadStream(ctx, stream, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Codec.Decode(ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}
