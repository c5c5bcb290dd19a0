package server

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// patience bounds how long a test waits for what must happen.
const patience = 30 * time.Second

// served is a store and a server of it that no network is between.
type served struct {
	store    *storage.Store
	server   *Server
	listener *bufconn.Listener
	done     chan error
}

func start(options Options) (*served, error) {
	store, err := storage.Open("data", storage.Options{FS: vfs.NewMem(), IDCache: 1 << 10})
	if err != nil {
		return nil, err
	}
	s := &served{store: store, server: New(store, options), listener: bufconn.Listen(1 << 20), done: make(chan error, 1)}
	go func() { s.done <- s.server.Serve(s.listener, bufconn.Listen(1)) }()
	return s, nil
}

func (s *served) stop() error {
	return errors.Join(s.server.Kill(), <-s.done, s.store.Close())
}

// serve starts a server that ends with the test.
func serve(t *testing.T, options Options) *served {
	t.Helper()
	s, err := start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *served) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.listener.DialContext(ctx) }))
}
