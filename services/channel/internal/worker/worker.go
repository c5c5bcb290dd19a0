// Package worker keeps work in the background going: what fails is tried again,
// with back-off, and shown in readiness until it works.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The pauses between attempts.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// Worker is one piece of work in the background.
type Worker struct {
	// Name is what the work is called in logs and in readiness.
	Name string
	// Work works until its context ends, or until something fails. It calls well
	// each time that it has found all in order.
	Work func(ctx context.Context, well func()) error
	// Logger is told once what fails, however often it does.
	Logger *slog.Logger

	mu  sync.Mutex
	err error
}

// Ready returns why the work does not go on; nil when it does.
func (w *Worker) Ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Run works until ctx ends, and then returns nil.
func (w *Worker) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longestPause
	for {
		err := w.Work(ctx, func() {
			w.note(nil)
			pause.Reset()
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			err = errEnded
		}
		w.note(fmt.Errorf("%s: %w", w.Name, err))
		timer := time.NewTimer(pause.NextBackOff())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// note remembers what fails, or that all is well again.
func (w *Worker) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.err
	w.err = err
	switch {
	case err == nil && was != nil:
		w.Logger.Info("work goes on", "worker", w.Name)
	case err != nil && (was == nil || was.Error() != err.Error()):
		w.Logger.Warn("work waits to go on", "worker", w.Name, "reason", err.Error())
	}
}

var errEnded = errors.New("it ended by itself")
