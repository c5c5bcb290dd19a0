package serve

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// calls holds the interceptors that every call passes, in the order trace,
// limit, answer, check, requireKey.
type calls struct {
	edge      edge
	available func() error
	isRead    func(fullMethod string) bool
	timeout   time.Duration
	drained   context.Context
}

// trace gives the call its trace, and tells the caller which one it is.
func (c calls) trace(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx = traced(ctx)
	traceparent, _ := telemetry.Inject(ctx)
	// It fails only outside of a call, or after the headers have gone.
	if err := grpc.SetHeader(ctx, metadata.Pairs("traceparent", traceparent)); err != nil {
		return nil, c.edge.answer(ctx, info.FullMethod, err)
	}
	return handler(ctx, req)
}

// traced returns ctx with the trace that the tracer put there, or else with the
// one that came in, or else with a new one.
func traced(ctx context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	incoming, _ := metadata.FromIncomingContext(ctx)
	join := func(key string) string { return strings.Join(incoming.Get(key), ",") }
	return telemetry.Ensure(telemetry.Extract(ctx, join("traceparent"), join("tracestate")))
}

// limit gives the call a deadline where its caller gave none.
func (c calls) limit(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); ok {
		return handler(ctx, req)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return handler(ctx, req)
}

// answer turns errors, and panics, into what the caller gets.
func (c calls) answer(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := recovered(func() (any, error) { return handler(ctx, req) })
	if err != nil {
		return nil, c.edge.answer(ctx, info.FullMethod, err)
	}
	return resp, nil
}

// check refuses calls that can't be answered for now. gRPC's own, such as health,
// can be.
func (c calls) check(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := c.available(); err != nil && !strings.HasPrefix(info.FullMethod, "/grpc.") {
		return nil, fault.Unavailable("the service can't answer for now, try again later: %w", err)
	}
	return handler(ctx, req)
}

// recovered makes a panic an error.
func recovered(f func() (any, error)) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, newPanicError(p)
		}
	}()
	return f()
}

// stream serves the calls that stream: health's and reflection's. They end when
// the service stops, as they would never end by themselves.
func (c calls) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(traced(stream.Context()))
	defer cancel()
	defer context.AfterFunc(c.drained, cancel)()
	_, err := recovered(func() (any, error) { return nil, handler(srv, streamWith{stream, ctx}) })
	if _, panicked := err.(*panicError); panicked { //nolint:errorlint // made two lines above
		return c.edge.answer(ctx, info.FullMethod, err)
	}
	return err
}

// streamWith is a stream with a context of its own.
type streamWith struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream is made so
}

// Context returns the stream's context.
func (s streamWith) Context() context.Context { return s.ctx }
