package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
)

// Run serves until ctx ends or the process is told to stop (SIGTERM, SIGINT),
// or until a worker fails, and then stops in good order. It returns nil after
// such a stop in which every call and worker came to its end. Traces that can't
// be handed over are logged, and fail nothing: they are no part of the work.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer release()

	err := run(ctx, release, o)
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.StopTimeout)
	defer cancel()
	if lost := o.Telemetry.Shutdown(flushing); lost != nil {
		o.Telemetry.Logger.Warn("telemetry is incomplete", "error", lost.Error())
	}
	return err
}

func run(ctx context.Context, release func(), o Options) error {
	ports, err := listen(ctx, o.HTTPAddr, o.GRPCAddr)
	if err != nil {
		return err
	}
	s, err := newServer(o)
	if err != nil {
		return errors.Join(err, ports.close())
	}
	failed := make(chan error, 3+len(o.Workers))
	s.start(ports, failed)
	crew := startWorkers(context.WithoutCancel(ctx), o.Workers, failed)
	s.announce(ctx, ports.addresses())

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-failed:
		s.log.ErrorContext(ctx, "a part of the service has failed", trueError(failure)...)
	}
	release() // from here a signal has its own effect again: the end
	s.log.InfoContext(ctx, "stopping")
	return errors.Join(failure, s.stop(), crew.stop(o.StopTimeout))
}

// start serves in the background. What ends a server before its time goes to
// failed.
func (s *server) start(ports ports, failed chan<- error) {
	serve := func(what string, serve func(net.Listener) error, l net.Listener) {
		go func() {
			err := serve(l)
			if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
				failed <- fmt.Errorf("serve %s: %w", what, err)
			}
		}()
	}
	serve("gRPC in memory", s.inner.Serve, s.memory)
	serve("gRPC", s.public.Serve, ports.grpc)
	serve("REST", s.http.Serve, ports.http)
}

func (s *server) announce(ctx context.Context, bound Addresses) {
	s.readiness.probe(ctx)
	s.log.InfoContext(ctx, "serving", "http", bound.HTTP, "grpc", bound.GRPC)
	if s.options.Bound != nil {
		s.options.Bound(bound)
	}
}
