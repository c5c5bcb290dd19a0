package backoffice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const stopTimeout = 5 * time.Second

// Serve serves the back office on the address until ctx ends.
func (o *Office) Serve(ctx context.Context, addr string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("back office: %w", err)
	}
	server := &http.Server{Handler: o.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	o.log.Info("back office serves", "addr", listener.Addr().String())

	select {
	case err := <-served:
		return fmt.Errorf("back office: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = server.Shutdown(stopping)
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
