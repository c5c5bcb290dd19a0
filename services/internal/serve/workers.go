package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// workers are those that run. The first failure of each goes to failed, so that
// the service ends; what fails while it stops is returned by stop.
type workers struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	running  []string
	failures []error
	stopping bool
}

func startWorkers(ctx context.Context, list []Worker, failed chan<- error) *workers {
	ctx, cancel := context.WithCancel(ctx)
	w := &workers{cancel: cancel, done: make(chan struct{})}
	var all sync.WaitGroup
	for _, worker := range list {
		w.running = append(w.running, worker.Name)
	}
	for _, worker := range list {
		all.Go(func() { w.ended(worker.Name, guard(ctx, worker), failed) })
	}
	go func() {
		all.Wait()
		close(w.done)
	}()
	return w
}

// guard makes a panic an error like any other, so that the process ends in good
// order. A worker that ends as its context did has not failed.
func guard(ctx context.Context, worker Worker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("worker %s: %w", worker.Name, newPanicError(p))
		}
	}()
	err = worker.Run(ctx)
	if err == nil || (ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return nil
	}
	return fmt.Errorf("worker %s: %w", worker.Name, err)
}

func (w *workers) ended(name string, err error, failed chan<- error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = slices.DeleteFunc(w.running, func(n string) bool { return n == name })
	switch {
	case err == nil:
	case w.stopping:
		w.failures = append(w.failures, err)
	default:
		failed <- err
	}
}

// stop ends the workers and waits for them.
func (w *workers) stop(within time.Duration) error {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	w.cancel()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	select {
	case <-w.done:
	case <-deadline.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.running) > 0 {
		w.failures = append(w.failures, fmt.Errorf("workers did not stop within %s: %s", within, strings.Join(w.running, ", ")))
	}
	return errors.Join(w.failures...)
}
