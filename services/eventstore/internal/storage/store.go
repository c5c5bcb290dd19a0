// Package storage keeps events in a journal, and finds them by an index.
//
// Writes go through a pipeline of three goroutines, a group of them at a time:
// one decides, by the state that the writes before leave, and encodes; one
// writes to the journal, syncs and answers; one tells the index.
//
//	Append ─┐
//	Append ─┼─▶ queue ─▶ decide, stage ─▶ sync, answer ─▶ index ─▶ publish View
//	Delete ─┘                                                          │
//	                                          readers, subscriptions ◀─┘
//
// Readers see the store through a View, which ends with an indexed group: what
// a View shows is durable, all of a command or nothing of it is in it, and all
// that was answered before the View was asked for.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
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
	Meter   Meter
	// Existing makes Open fail with ErrNoStore when the folder is no store's,
	// instead of making it one.
	Existing bool

	// What follows tests make small, so that crashes meet the ends of chunks
	// and of memory tables too.
	memTable             uint64 // the size of the index's memory table
	firstChunk, maxChunk uint64 // the sizes of the journal's chunks
	// write makes a group durable. Tests plant defects here, which others must find.
	write func(*Store, *group) error
}

// Meter measures what writing costs. It is told by the goroutine that syncs, after
// the writers were answered, and must not wait.
type Meter interface {
	// Synced tells of a group that was made durable: of how many commands, events and
	// bytes of the journal it is, and how long the write and the sync took.
	Synced(commands, events, bytes int, took time.Duration)
	// Appended tells what came of an append, and after how long.
	Appended(took time.Duration, err error)
}

// unmetered is the Meter of who has none.
type unmetered struct{}

func (unmetered) Synced(int, int, int, time.Duration) {}
func (unmetered) Appended(time.Duration, error)       {}

// Store is an event store in one folder.
type Store struct {
	opts   Options
	lock   io.Closer
	log    *journal.Journal
	index  *index
	faults *faults

	queue   chan *command
	toSync  chan *group
	toIndex chan *group
	free    chan *group
	acked   atomic.Uint64 // position of the last event that a writer was told of
	closing chan struct{} // closed when Close begins
	written chan struct{} // closed when nothing is written or answered any more
	ended   chan struct{} // closed then, and when the disk has failed: what is under way may never end

	closeOnce sync.Once
	closeErr  error

	mu      sync.Mutex
	current *View
	watches map[string]*watch // by the stream's name
	open    sync.WaitGroup    // views that are held
	closed  bool
}

// queueLen bounds how many commands wait; further writers wait to queue.
const queueLen = 1024

// Open opens the store in folder dir, which is made when it is missing.
func Open(dir string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	lock, err := take(dir, opts)
	if err != nil {
		return nil, err
	}
	s := &Store{
		opts: opts, lock: lock, faults: newFaults(opts.Logger),
		queue:   make(chan *command, queueLen),
		toSync:  make(chan *group),
		toIndex: make(chan *group, groups),
		free:    make(chan *group, groups),
		closing: make(chan struct{}),
		written: make(chan struct{}),
		ended:   make(chan struct{}),
		watches: map[string]*watch{},
	}
	if err := s.openFiles(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.start()
	return s, nil
}

// take makes folder dir this store's alone.
func take(dir string, opts Options) (io.Closer, error) {
	if opts.Existing {
		return hold(dir, opts)
	}
	if err := claim(opts.FS, dir); err != nil {
		return nil, err
	}
	return lockFolder(opts.FS, dir)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Meter == nil {
		o.Meter = unmetered{}
	}
	if o.write == nil {
		o.write = func(s *Store, g *group) error { return s.log.Write(&g.log) }
	}
	if o.memTable == 0 {
		o.memTable = memTableSize
	}
	return o
}

func (s *Store) openFiles(dir string) error {
	fs := s.opts.FS
	if err := syncFolder(fs, dir); err != nil { // who made the marker may have been killed before
		return fmt.Errorf("sync the data folder: %w", err)
	}
	log, err := journal.Open(fs.PathJoin(dir, journalFolder), journal.Options{
		FS: fs, Logger: s.opts.Logger, FirstChunk: s.opts.firstChunk, MaxChunk: s.opts.maxChunk,
	})
	if err != nil {
		return err
	}
	index, err := s.openIndex(fs.PathJoin(dir, indexFolder))
	if err != nil {
		return errors.Join(err, log.Abandon())
	}
	caughtUp := make(chan error, 1)
	go func() { caughtUp <- index.catchUp(log) }()
	select {
	case err = <-caughtUp:
	case <-s.faults.failed: // it may never end
	}
	if fault := s.faults.err(); fault != nil {
		return fmt.Errorf("bring the index up to the journal: %w", fault)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("bring the index up to the journal: %w", err), index.db.Close(), log.Abandon())
	}
	s.log, s.index = log, index
	return nil
}

// openIndex opens the index in folder, and makes a broken one again.
func (s *Store) openIndex(folder string) (*index, error) {
	index, err := openIndex(s.opts.FS, folder, readWrite, s.opts, s.faults)
	if !isBroken(err) {
		return index, err
	}
	s.opts.Logger.Warn("the index is damaged: it is made again from the journal", "error", err)
	s.faults = newFaults(s.opts.Logger) // pebble may have called it fatal
	if err := dropIndex(s.opts.FS, folder); err != nil {
		return nil, err
	}
	return openIndex(s.opts.FS, folder, readWrite, s.opts, s.faults)
}

// start starts the pipeline.
func (s *Store) start() {
	for range groups {
		s.free <- new(group)
	}
	s.publish(s.log.Last(), s.log.Place().End(), nil)
	w := newWriter(s)
	go w.run()
	go s.syncGroups()
	go s.finishGroups()
	go func() {
		select {
		case <-s.written:
		case <-s.faults.failed:
		}
		close(s.ended)
	}()
}

// syncGroups makes groups durable, one after the other, and answers them.
// Refusals too are answered only here: they may rest on writes of their group.
func (s *Store) syncGroups() {
	defer close(s.toIndex)
	for g := range s.toSync {
		began := time.Now()
		if g.err = s.faults.err(); g.err == nil && g.log.Len() > 0 {
			if err := s.opts.write(s, g); err != nil {
				s.faults.fail(err)
			}
			g.err = s.faults.err() // also what failed beside this write
		}
		ended := time.Now()
		s.answer(g)
		s.measure(g, began, ended)
		s.toIndex <- g
		// Those who were answered come back now: with them the next group is
		// twice as large, and there are half as many syncs.
		runtime.Gosched()
	}
}

// answer tells the writers of a group what became of it.
func (s *Store) answer(g *group) {
	if g.wrote() {
		s.acked.Store(g.last)
	}
	for _, c := range g.commands {
		if g.err != nil {
			c.written, c.err = Written{}, g.err
		}
		close(c.done)
	}
}

// measure tells the meter of a group that was answered at ended.
func (s *Store) measure(g *group, began, ended time.Time) {
	if g.wrote() {
		s.opts.Meter.Synced(len(g.commands), len(g.entries), g.log.Len(), ended.Sub(began))
	}
	for _, c := range g.commands {
		if c.kind == appendEvents {
			s.opts.Meter.Appended(ended.Sub(c.began), c.err)
		}
	}
}

// finishGroups indexes groups that are durable, and shows them to readers.
func (s *Store) finishGroups() {
	defer close(s.written)
	unflushed := 0
	for g := range s.toIndex {
		if g.wrote() {
			if err := s.index.add(g.entries, g.heads, g.last); err != nil {
				s.faults.fail(err)
			} else {
				s.publish(g.last, g.log.Place().End(), g.commands)
			}
			unflushed = s.flush(unflushed + g.log.Len())
		}
		s.free <- g
	}
}

// maxUnflushed is how many bytes of the journal may be indexed in memory alone:
// that much is read when the store is opened. Where events are small the index
// fills its memory before, and flushes by itself.
const maxUnflushed = 64 << 20

// flush lets the index write down what it has in memory, when that stands for
// much of the journal; it returns for how much it stands now.
func (s *Store) flush(unflushed int) int {
	if unflushed < maxUnflushed {
		return unflushed
	}
	if _, err := s.index.db.AsyncFlush(); err != nil {
		s.faults.fail(fmt.Errorf("flush the index: %w", err))
	}
	return 0
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
	c.done, c.began = make(chan struct{}), time.Now()
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
	case <-s.ended:
		return c.afterEnd(s.faults.err())
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
		select {
		case <-s.written:
			s.closeErr = s.closeReaders()
		case <-s.faults.failed:
			s.closeErr = s.faults.err()
		}
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
	closed := make(chan error, 1)
	go func() { closed <- s.index.db.Close() }()
	select {
	case err := <-closed:
		if err := errors.Join(err, s.log.Close(), s.lock.Close()); err != nil {
			return fmt.Errorf("close the event store: %w", err)
		}
		return nil
	case <-s.faults.failed: // the index waits for what it had begun, and that may never end
		return s.faults.err()
	}
}
