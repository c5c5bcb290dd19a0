package eventstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/metrics"
	"github.com/triangle-suite/triangle/services/eventstore/internal/port"
	"github.com/triangle-suite/triangle/services/eventstore/internal/server"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// DefaultAddr is where a store listens unless told otherwise.
const DefaultAddr = "127.0.0.1:2113"

// recentIDs is how many ids of late events are remembered, to recognise
// retries that expect no revision.
const recentIDs = 1 << 16

// Reasons for which a store does not start or ends, tested with errors.Is.
var (
	ErrInUse         = storage.ErrInUse
	ErrForeignFolder = storage.ErrForeignFolder
	ErrNewerFormat   = storage.ErrNewerFormat
	ErrFailed        = storage.ErrFailed
	// ErrUsersNeedTLS says that a store with users was to be started without TLS.
	ErrUsersNeedTLS = errors.New("users need TLS: their passwords would travel in clear")
)

// Data is where a store keeps its events.
type Data struct {
	fs  vfs.FS
	dir string
}

// Folder keeps events in a folder, which is made when it is missing.
func Folder(dir string) Data { return Data{fs: vfs.Default, dir: dir} }

// Memory keeps events in memory: they outlive a Server, as those in a folder
// do, when the same Data is given to the next one.
func Memory() Data { return Data{fs: vfs.NewMem(), dir: "memory"} }

// IDCache says whether ids of late events are remembered.
type IDCache int

// The settings of the id cache.
const (
	// IDCacheOn recognises the retry of an append that expects no revision,
	// for a while. No caller may lean on it.
	IDCacheOn IDCache = iota
	// IDCacheOff writes such a retry again, as the store also does when the
	// cache has forgotten. It is for tests of callers who must not lean on it.
	IDCacheOff
)

// Config is what a store is started with. The zero Config listens on
// DefaultAddr, without TLS and users, with its data in memory. Without users
// the credentials of calls are not looked at.
type Config struct {
	Addr    string
	Data    Data
	TLS     *tls.Config  // nil: plain text
	Users   *users.Users // who may call, which needs TLS; everybody when nil
	IDCache IDCache
	Limits  Limits
	Logger  *slog.Logger
	Now     func() time.Time // the clock of events; time.Now when nil
}

// Limits bound what a request, a connection and all of them together may take
// of the store.
type Limits = server.Limits

// Server is a store that runs.
type Server struct {
	addr   net.Addr
	store  *storage.Store
	server *server.Server
	port   *port.Splitter

	served chan struct{} // closed when err holds
	err    error
	once   sync.Once
	endErr error
}

// Start opens the data and serves it.
func Start(config Config) (*Server, error) {
	config = config.withDefaults()
	if err := config.Limits.Check(); err != nil {
		return nil, err
	}
	if config.Users != nil && config.TLS == nil {
		return nil, ErrUsersNeedTLS
	}
	measured := metrics.New()
	options := config.storage()
	options.Meter = measured
	store, err := storage.Open(config.Data.dir, options)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", config.Addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), store.Close())
	}
	s := &Server{
		addr:   listener.Addr(),
		store:  store,
		server: server.New(store, server.Options{Limits: config.Limits, Users: config.Users, Metrics: measured}),
		port:   port.Split(listener, config.TLS),
		served: make(chan struct{}),
	}
	go s.serve()
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = DefaultAddr
	}
	if c.Data.fs == nil {
		c.Data = Memory()
	}
	return c
}

func (c Config) storage() storage.Options {
	options := storage.Options{FS: c.Data.fs, Logger: c.Logger, Now: c.Now, IDCache: recentIDs}
	if c.IDCache == IDCacheOff {
		options.IDCache = 0
	}
	return options
}

func (s *Server) serve() {
	defer close(s.served)
	ended := make(chan error, 2)
	go func() { ended <- s.port.Serve() }()
	go func() { ended <- s.server.Serve(s.port.HTTP2(), s.port.HTTP1()) }()
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			s.err = errors.Join(s.err, err)
		}
	}
}

// Addr is where the store listens.
func (s *Server) Addr() string { return s.addr.String() }

// Failed is closed when the disk has failed under the store, which then
// answers no write any more and should be stopped; Err tells how.
func (s *Server) Failed() <-chan struct{} { return s.store.Failed() }

// Err tells how the disk failed, nil when it did not.
func (s *Server) Err() error { return s.store.Err() }

// Stop refuses new calls, lets those under way end, tells subscriptions that
// the store is closing, and closes the data. When ctx ends first, Stop cuts
// what is left.
func (s *Server) Stop(ctx context.Context) error {
	return s.end(func() error { return s.server.Stop(ctx) })
}

// Kill cuts all connections, whatever is under way: to clients it is as if
// the process had been killed.
func (s *Server) Kill() error { return s.end(s.server.Kill) }

func (s *Server) end(stop func() error) error {
	s.once.Do(func() {
		err := errors.Join(s.port.Close(), stop())
		<-s.served
		s.endErr = errors.Join(err, s.err, s.store.Close())
	})
	return s.endErr
}
