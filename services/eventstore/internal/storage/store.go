// Package storage keeps events in an ordered key-value store (pebble).
//
// One goroutine writes. It takes all commands that are waiting, decides each
// one against the state that the ones before it leave, writes them as one
// batch, syncs once, and only then shows the result to readers and answers:
//
//	Append ─┐
//	Append ─┼─▶ queue ─▶ decide, stage ─▶ batch ─▶ sync ─▶ publish View ─▶ answers
//	Delete ─┘                                                   │
//	                                                            └─▶ readers, subscriptions
//
// Readers see the store through a View, a snapshot taken after a sync: what a
// View shows is durable, and all of a command or nothing of it is in it.
package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Errors of a Store.
var (
	// ErrDeleted: the stream is deleted for good, or as the writer's
	// expectation forbids.
	ErrDeleted = errors.New("the stream is deleted")
	// ErrClosed: the store is closing.
	ErrClosed = errors.New("the event store is closing")
	// ErrFailed: the disk failed under the store. It answers no write any more:
	// what is on the disk is only known after it was opened again.
	ErrFailed = errors.New("the event store's disk failed")
	// ErrInvalidName: no stream can have that name, or it can't be deleted.
	ErrInvalidName = errors.New("invalid stream name")
)

// WrongVersionError says that a stream is not where a writer believed.
type WrongVersionError struct {
	Stream   string
	Expected stream.Expected
	Current  int64 // the last revision, stream.None when there is no event
}

// Error implements error.
func (e *WrongVersionError) Error() string {
	return fmt.Sprintf("stream %q: expected revision %d, the last one is %d", e.Stream, e.Expected, e.Current)
}

// Options are the options of Open.
type Options struct {
	FS      vfs.FS // where the data is; the disk by default
	Logger  *slog.Logger
	Now     func() time.Time
	IDCache int // how many ids of late events are remembered; 0: none

	// memTable is pebble's memory table's size; tests make it small, so that
	// crashes meet flushes too.
	memTable uint64
	// noSync is a planted bug, for the test that must find it.
	noSync bool
}

// Store is an event store in one folder.
type Store struct {
	db      *pebble.DB
	opts    Options
	faults  *faults
	queue   chan *command
	closing chan struct{} // closed when Close begins
	written chan struct{} // closed when the writer has ended

	closeOnce sync.Once
	closeErr  error

	mu      sync.Mutex
	current *View
	open    sync.WaitGroup // views that are held
	closed  bool
}

// queueLen bounds how many commands wait; further writers wait to queue.
const queueLen = 1024

// Open opens the store in folder dir, which is made when it is missing.
func Open(dir string, opts Options) (*Store, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := claim(opts.FS, dir); err != nil {
		return nil, err
	}
	faults := newFaults(opts.Logger)
	if opts.memTable == 0 {
		opts.memTable = memTableSize
	}
	db, err := openPebble(opts, opts.FS.PathJoin(dir, databaseFolder), faults)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, opts: opts, faults: faults,
		queue:   make(chan *command, queueLen),
		closing: make(chan struct{}),
		written: make(chan struct{}),
	}
	w, err := newWriter(s)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.publish(w.last)
	go w.run()
	return s, nil
}

// Append writes events to the end of a stream, all or none, when it is where
// expected says. It returns when they are durable. When ctx ends first it is
// not known whether they are written.
func (s *Store) Append(ctx context.Context, name string, expected stream.Expected, events []NewEvent) (Written, error) {
	if name == "" || name == stream.All || name == stream.MetadataOf("") {
		return Written{}, fmt.Errorf("%w: %q", ErrInvalidName, name)
	}
	if original, ok := stream.OriginalOf(name); ok && stream.IsMetadata(original) {
		return Written{}, fmt.Errorf("%w: %q: a metadata stream has no metadata", ErrInvalidName, name)
	}
	return s.submit(ctx, &command{kind: appendEvents, stream: name, expected: expected, events: events})
}

// Delete deletes a stream such that the next append to it brings it back.
func (s *Store) Delete(ctx context.Context, name string, expected stream.Expected) (Written, error) {
	return s.delete(ctx, softDelete, name, expected)
}

// Tombstone deletes a stream for good.
func (s *Store) Tombstone(ctx context.Context, name string, expected stream.Expected) (Written, error) {
	return s.delete(ctx, tombstone, name, expected)
}

func (s *Store) delete(ctx context.Context, kind commandKind, name string, expected stream.Expected) (Written, error) {
	if name == "" || name == stream.All || stream.IsMetadata(name) {
		return Written{}, fmt.Errorf("%w: %q can't be deleted", ErrInvalidName, name)
	}
	return s.submit(ctx, &command{kind: kind, stream: name, expected: expected})
}

func (s *Store) submit(ctx context.Context, c *command) (Written, error) {
	c.done = make(chan struct{})
	select {
	case <-s.closing: // checked first: a queue with room must not win by chance
		return Written{}, ErrClosed
	default:
	}
	select {
	case s.queue <- c:
	case <-s.closing:
		return Written{}, ErrClosed
	case <-ctx.Done():
		return Written{}, ctx.Err()
	}
	select {
	case <-c.done:
		return c.written, c.err
	case <-ctx.Done():
		return Written{}, ctx.Err()
	case <-s.written:
		return c.afterEnd()
	}
}

// Failed is closed when the disk has failed under the store.
func (s *Store) Failed() <-chan struct{} { return s.faults.failed }

// Err tells how the disk failed, nil when it did not.
func (s *Store) Err() error { return s.faults.err() }

// Closing is closed when Close has begun. Who waits on a View stops then.
func (s *Store) Closing() <-chan struct{} { return s.closing }

// Close waits for the commands under way and for the views that are held,
// then closes the store. A store whose disk failed is left as it is, and its
// folder is in use, until the process ends: there is no orderly end to it.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.written
		s.closeErr = s.closeReaders()
	})
	return s.closeErr
}

func (s *Store) closeReaders() error {
	s.mu.Lock()
	s.closed = true
	current := s.current
	s.mu.Unlock()
	if err := s.faults.err(); err != nil {
		return err
	}
	current.Release()
	s.open.Wait()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the event store: %w", err)
	}
	return nil
}
