package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	"github.com/triangle-suite/triangle/services/telemetry"
)

// memoryBuffer is the in-memory connection's, in bytes.
const memoryBuffer = 64 << 10

// server is a service's API on both ports.
type server struct {
	options   Options
	log       *slog.Logger
	gate      *gate
	readiness *readiness
	drained   context.Context // ends when streams are to end
	drain     context.CancelFunc

	public *grpc.Server // for callers
	inner  *grpc.Server // for the gateway
	memory *bufconn.Listener
	conn   *grpc.ClientConn // the gateway's, to inner
	http   *http.Server
}

func newServer(o Options) (*server, error) {
	s := &server{options: o, log: o.Telemetry.Logger, gate: newGate(), memory: bufconn.Listen(memoryBuffer)}
	s.drained, s.drain = context.WithCancel(context.Background())

	var api services
	o.Register(&api)
	measured, err := newMetrics(o.Telemetry.Registry, api, o.Tally)
	if err != nil {
		return nil, err
	}
	s.inner, s.public = s.newGRPC(measured), s.newGRPC(measured)
	api.registerOn(s.inner)
	api.registerOn(s.public)

	// Readiness begins as not ready: nobody is to call before the first probe.
	state := health.NewServer()
	s.readiness = newReadiness(o.Checks, o.CheckTimeout, s.log, state, api.names())
	healthv1.RegisterHealthServer(s.public, healthServer{Server: state, readiness: s.readiness})
	reflection.Register(s.public)

	if s.conn, err = dialMemory(s.memory); err != nil {
		return nil, err
	}
	handler, err := s.newHandler(measured)
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// No ReadTimeout: it would also cancel a call that outlasts it. The body
		// has a deadline of its own (readBody).
	}
	return s, nil
}

func (s *server) newGRPC(measured *metrics) *grpc.Server {
	calls := calls{
		edge:      edge{log: s.log, translate: s.options.Translate},
		available: s.options.Available,
		isRead:    s.options.IsRead,
		timeout:   s.options.CallTimeout,
		drained:   s.drained,
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.options.BodyLimit),
		grpc.ChainUnaryInterceptor(calls.trace, calls.limit, calls.answer, calls.check, calls.requireKey),
		grpc.StreamInterceptor(calls.stream),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if provider, installed := s.options.Telemetry.TracerProvider(); installed {
		options = append(options, grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(provider),
			otelgrpc.WithPropagators(telemetry.Propagator),
			otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
		)))
	}
	// After the tracer's, so that the metrics' exemplars see its span.
	return grpc.NewServer(append(options, grpc.StatsHandler(measured))...)
}

// dialMemory connects the gateway to the inner server.
func dialMemory(memory *bufconn.Listener) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///in-memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return memory.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// An answer may be larger than a request: the client's usual limit would
		// make a long list an error over REST alone.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("connect the gateway: %w", err)
	}
	return conn, nil
}

// services records what is registered, for two servers and the metrics.
type services []service

type service struct {
	desc *grpc.ServiceDesc
	impl any
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *services) RegisterService(desc *grpc.ServiceDesc, impl any) {
	*s = append(*s, service{desc, impl})
}

func (s services) registerOn(server *grpc.Server) {
	for _, one := range s {
		server.RegisterService(one.desc, one.impl)
	}
}

func (s services) names() []string {
	names := make([]string, 0, len(s))
	for _, one := range s {
		names = append(names, one.desc.ServiceName)
	}
	return names
}
