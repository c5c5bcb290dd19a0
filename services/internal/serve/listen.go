package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ports are what a service listens on.
type ports struct{ http, grpc net.Listener }

func listen(ctx context.Context, httpAddr, grpcAddr string) (ports, error) {
	rest, err := listenOn(ctx, "REST", "TRIANGLE_HTTP_ADDR", httpAddr)
	if err != nil {
		return ports{}, err
	}
	rpc, err := listenOn(ctx, "gRPC", "TRIANGLE_GRPC_ADDR", grpcAddr)
	if err != nil {
		return ports{}, errors.Join(err, rest.Close())
	}
	return ports{http: rest, grpc: rpc}, nil
}

func listenOn(ctx context.Context, what, variable, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s can't be served on %s, which another process uses: stop that one, or set %s: %w",
			what, addr, variable, syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be served on %s (%s): %w", what, addr, variable, err)
	}
	return l, nil
}

func (p ports) addresses() Addresses {
	return Addresses{HTTP: p.http.Addr().String(), GRPC: p.grpc.Addr().String()}
}

func (p ports) close() error { return errors.Join(p.http.Close(), p.grpc.Close()) }
