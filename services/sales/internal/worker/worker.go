// Package worker does work that no call and no event waits for, in rounds.
//
//	a commit, or a time that comes ──▶ a round ──▶ wait
//	                                     │ it fails
//	                                     └──▶ back-off ──▶ a round
//
// A round that fails is shown in readiness until one works.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Worker works in rounds.
type Worker struct {
	// Name names the worker in logs and in readiness.
	Name string
	// DB wakes the worker when it has changed.
	DB *projection.DB
	// Logger takes what goes wrong.
	Logger *slog.Logger
	// Round does what there is to do. It returns when to look again at the
	// latest; the zero time when only a change can make a difference. With an
	// error and the zero time the worker backs off.
	Round func(ctx context.Context) (again time.Time, err error)

	mu  sync.Mutex
	err error
}

// The pauses between rounds that fail.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// Run works until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longestPause
	for {
		changed := w.DB.Changed() // before looking, so that no commit is missed
		again, err := w.Round(ctx)
		if ctx.Err() == nil { // else the error is only that
			w.show(err)
		}
		switch {
		case err != nil && again.IsZero():
			again, changed = time.Now().Add(pause.NextBackOff()), nil
		case err == nil:
			pause.Reset()
		}
		if !wait(ctx, changed, again) {
			return nil
		}
	}
}

// wait waits for a change or a time, and returns false when ctx ends first.
func wait(ctx context.Context, changed <-chan struct{}, at time.Time) bool {
	var due <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
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

// show keeps an error for readiness, and logs it once, however often it comes.
func (w *Worker) show(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && (w.err == nil || w.err.Error() != err.Error()) {
		w.Logger.Warn("work waits to go on", "worker", w.Name, "reason", err.Error())
	}
	w.err = err
}

// Ready returns nil when the last round worked.
func (w *Worker) Ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return fmt.Errorf("%s: %w", w.Name, w.err)
	}
	return nil
}
