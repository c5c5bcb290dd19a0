// Package worker keeps work in the background going: what no call and no event
// waits for.
//
//	Work ──▶ it fails ──▶ back-off ──▶ Work
//	 └──▶ all is well: readiness says so, and the back-off begins anew
//
// What fails is shown in readiness until it works. Work is done in Rounds, for a
// Partner piece by piece over Watermill's Router, or in a way of its own.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triangle-suite/triangle/services/internal/job"
)

// The pauses between attempts.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// Tell says how work goes: nil when all has been found in order, else what does
// not go on while the rest of it does.
type Tell func(err error)

// Worker is one piece of work in the background.
type Worker struct {
	// Name is what the work is called in logs and in readiness.
	Name string
	// Work works until its context ends, or until something fails.
	Work func(ctx context.Context, tell Tell) error
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
	ctx = job.Named(ctx, w.Name)
	pause := newPause(firstPause, longestPause)
	tell := func(err error) {
		if err == nil {
			pause.Reset()
		}
		if ctx.Err() == nil { // else whatever failed, failed for that
			w.note(err)
		}
	}
	for {
		err := w.Work(ctx, tell)
		if err == nil {
			err = errEnded
		}
		tell(err)
		if !wait(ctx, nil, time.Now().Add(pause.NextBackOff())) {
			return nil
		}
	}
}

func newPause(first, longest time.Duration) *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = first, longest
	return pause
}

// note remembers what fails, or that all is well again.
func (w *Worker) note(err error) {
	if err != nil {
		err = fmt.Errorf("%s: %w", w.Name, err)
	}
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

// wait waits for a change or a time, and returns false when ctx ends first.
func wait(ctx context.Context, changed <-chan struct{}, at time.Time) bool {
	var due <-chan time.Time
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-due:
	}
	return true
}
