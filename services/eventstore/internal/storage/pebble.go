package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// ErrInUse says that another process has the data folder.
var ErrInUse = errors.New("another event store runs on this data folder")

const (
	blockCacheSize = 64 << 20
	memTableSize   = 32 << 20
	bloomBits      = 10
)

// openPebble opens the database. Its format is named, and not "the newest", so
// that a newer pebble does not upgrade a folder that an older binary may still
// have to read.
func openPebble(opts Options, dir string, faults *faults) (*pebble.DB, error) {
	lock, err := pebble.LockDirectory(dir, opts.FS)
	if err != nil {
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || err.Error() == lockedByUs {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	cache := pebble.NewCache(blockCacheSize)
	defer cache.Unref()
	options := &pebble.Options{
		FS:                 opts.FS,
		Lock:               lock,
		Cache:              cache,
		MemTableSize:       opts.memTable,
		FormatMajorVersion: pebble.FormatValueSeparation,
		Logger:             faults,
	}
	for i := range options.Levels {
		// Most look-ups are of stream states, and many are of new streams.
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the event store: %w", err), lock.Close())
	}
	// The database holds the lock too, and lets go of it when it is closed.
	if err := lock.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder: %w", err), db.Close())
	}
	return db, nil
}

// lockedByUs is how pebble words a lock that this very process holds.
const lockedByUs = "lock held by current process"

// faults is pebble's logger. Pebble reports a disk that failed by Fatalf and
// expects the process to end; a store in a test shares its process. So the
// fault is kept, nothing is acknowledged after it, and whoever runs the store
// is told by Store.Failed.
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
	f.log.Debug("pebble", "message", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (f *faults) Errorf(format string, args ...any) {
	f.log.Error("pebble", "message", fmt.Sprintf(format, args...))
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
