package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// lastWords is how long answers that are ready may take to be written.
const lastWords = time.Second

// stop ends serving: not ready, no new calls, calls under way finish, within
// StopTimeout. Probes and metrics are answered until the last call has ended.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.StopTimeout)
	defer cancel()
	s.readiness.stop()
	rest := s.gate.close()
	s.drain()

	public := inBackground(s.public.GracefulStop)
	cutOff := errors.Join(
		await(ctx, "REST", rest, s.inner),
		await(ctx, "gRPC", public, s.public),
	)
	_ = s.conn.Close() // it leads from REST to this very process, and its calls have ended
	s.inner.Stop()
	s.closeREST()
	if cutOff != nil {
		return fmt.Errorf("calls did not end within %s and were cut off: %w", s.options.StopTimeout, cutOff)
	}
	return nil
}

// closeREST ends probes and metrics. Calls that were cut off get a moment to
// tell their callers so.
func (s *server) closeREST() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // it is cut off: what it still has to say is lost anyway
	}
}

// await waits for the calls under way, and cuts them off when ctx ends.
func await(ctx context.Context, what string, ended <-chan struct{}, cut *grpc.Server) error {
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-ended: // both at once: nothing is left to cut off
		return nil
	default:
		cut.Stop()
		return fmt.Errorf("over %s", what)
	}
}

func inBackground(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// gate counts the REST calls under way, and lets none in once it is closed.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // closed when the gate is, and nobody is inside
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter reports whether a call may begin; then leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.settle()
}

// close returns what is closed when the last call has left.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.settle()
	return g.empty
}

func (g *gate) settle() {
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}
