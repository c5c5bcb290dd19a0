package storage

import (
	"fmt"
	"log/slog"
	"sync"
)

// faults remembers how the disk failed. Nothing is acknowledged after that,
// and whoever runs the store is told by Store.Failed.
//
// It is pebble's logger too: pebble reports some failures by Fatalf and expects
// the process to end, but a store in a test shares its process.
type faults struct {
	log    *slog.Logger
	failed chan struct{}

	mu    sync.Mutex
	first error
}

func newFaults(log *slog.Logger) *faults {
	return &faults{log: log, failed: make(chan struct{})}
}

// Infof implements pebble.Logger.
func (f *faults) Infof(format string, args ...any) {
	f.log.Debug("index", "message", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (f *faults) Errorf(format string, args ...any) {
	f.log.Error("index", "message", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger.
func (f *faults) Fatalf(format string, args ...any) {
	fatal := fault{message: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			fatal.causes = append(fatal.causes, cause)
		}
	}
	f.fail(fatal)
}

// fault is what pebble said, with the errors that it printed.
type fault struct {
	message string
	causes  []error
}

// Error implements error.
func (f fault) Error() string { return f.message }

// Unwrap lets errors.Is find the causes.
func (f fault) Unwrap() []error { return f.causes }

func (f *faults) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first != nil {
		return
	}
	f.first = fmt.Errorf("%w: %w", ErrFailed, err)
	close(f.failed)
}

func (f *faults) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}
