// Package server speaks EventStoreDB's gRPC protocol for a storage.Store. Its
// handlers translate; what is decided is decided in package stream, and what
// is kept is kept in package storage.
package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	persistentpb "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/triangle-suite/triangle/services/eventstore/internal/metrics"
	"github.com/triangle-suite/triangle/services/eventstore/internal/persistent"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

const (
	// minPing allows what clients do: a ping every 10 s, without a call too.
	// The default of grpc-go closes the connection on them.
	minPing = 5 * time.Second
	// A client that is gone without a word is found out by these, so that its
	// subscriptions end.
	pingAfter   = 30 * time.Second
	pingTimeout = 10 * time.Second
	// headerTimeout bounds a plain HTTP request's head.
	headerTimeout = 5 * time.Second
)

// Options are the options of New.
type Options struct {
	Limits Limits       // which pass their Check
	Users  *users.Users // who may call; everybody when nil
	// Metrics are those that the store itself is measured with; nil: some of its own.
	Metrics *metrics.Metrics

	// minPing is how often a client may ping; tests need not wait that long.
	minPing time.Duration
}

// Server serves a store on two listeners: one for gRPC, one for plain HTTP.
type Server struct {
	store         *storage.Store
	subscriptions *persistent.Subscriptions
	metrics       *metrics.Metrics
	seats         *seats
	grpc          *grpc.Server
	http          *http.Server
	stopping      chan struct{}
	once          sync.Once
}

// streamsService is the protocol's service of streams.
type streamsService struct {
	streams.UnimplementedStreamsServer
	store    *storage.Store
	limits   Limits
	seats    *seats
	metrics  *metrics.Metrics
	stopping <-chan struct{}
}

// New returns a server of store. It serves when Serve is called.
func New(store *storage.Store, options Options) *Server {
	limits := options.Limits.withDefaults()
	if options.Metrics == nil {
		options.Metrics = metrics.New()
	}
	s := &Server{
		store: store, subscriptions: persistent.New(store), metrics: options.Metrics, seats: newSeats(limits), stopping: make(chan struct{}),
	}
	s.metrics.Watch(s.state)
	s.grpc = grpc.NewServer(options.grpc(limits)...)
	streams.RegisterStreamsServer(s.grpc, &streamsService{store: store, limits: limits, seats: s.seats, metrics: s.metrics, stopping: s.stopping})
	serverfeatures.RegisterServerFeaturesServer(s.grpc, features{})
	gossip.RegisterGossipServer(s.grpc, &gossiper{id: uuid.New()})
	persistentpb.RegisterPersistentSubscriptionsServer(s.grpc, &persistentService{subscriptions: s.subscriptions, limits: limits})
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: headerTimeout}
	return s
}

func (o Options) grpc(limits Limits) []grpc.ServerOption {
	// Larger windows and buffers, and workers for streams, were measured and
	// gained nothing that shows: grpc's own choice of them stays.
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(limits.MessageBytes),
		grpc.MaxConcurrentStreams(uint32(limits.ConnectionCalls)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: cmp.Or(o.minPing, minPing), PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
	}
	options = append(options, o.Metrics.Interceptors()...)
	if o.Users != nil {
		options = append(options, doorkeeper{users: o.Users}.options()...)
	}
	return options
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", s.live)
	mux.Handle("GET /metrics", s.metrics.Handler())
	return mux
}

// live answers whether the store takes writes, as EventStoreDB does: without
// a body, unless there is something to say.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	if err := s.store.Err(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, err.Error()) // the client is gone when this fails
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// state is what the metrics tell of the store now.
func (s *Server) state() (metrics.State, error) {
	size, err := s.store.Size()
	if err != nil {
		return metrics.State{}, err
	}
	groups, err := s.subscriptions.Totals()
	if err != nil {
		return metrics.State{}, err
	}
	view, err := s.store.View()
	if err != nil {
		return metrics.State{}, err
	}
	defer view.Release()
	now := metrics.State{
		Position: view.Last(), JournalBytes: size.Journal, IndexBytes: size.Index,
		Groups: groups.Groups, Consumers: groups.Consumers,
		Waiting: groups.Waiting, InFlight: groups.InFlight, Retrying: groups.Retrying, Parked: groups.Parked,
	}
	now.Subscriptions, now.Behind = s.seats.behind(now.Position)
	return now, nil
}

// Serve serves until Stop or Kill; it then returns nil.
func (s *Server) Serve(http2, http1 net.Listener) error {
	failed := make(chan error, 2)
	go func() { failed <- s.grpc.Serve(http2) }()
	go func() { failed <- s.http.Serve(http1) }()
	var err error
	for range 2 {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) && !errors.Is(e, grpc.ErrServerStopped) && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Stop lets the calls under way end, subscriptions apart, which would never:
// they are told that the server is closing. When ctx ends, Stop cuts what is
// left.
func (s *Server) Stop(ctx context.Context) error {
	s.once.Do(func() { close(s.stopping) })
	flushed := s.subscriptions.Close() // first: their calls end by it
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	err := s.http.Shutdown(ctx)
	select {
	case <-stopped:
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
	}
	return errors.Join(flushed, err)
}

// Kill cuts all connections at once.
func (s *Server) Kill() error {
	s.once.Do(func() { close(s.stopping) })
	s.grpc.Stop()
	s.subscriptions.Kill()
	return s.http.Close()
}
