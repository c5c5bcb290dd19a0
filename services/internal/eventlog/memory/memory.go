// Package memory is an event log that lives in memory, for pure tests.
//
// It keeps to the port's whole meaning: expected revisions, positions, reads
// both ways, filters, subscriptions with bounded buffers. It is deliberately no
// deduplicator: an event id is accepted as often as the revision fits, because
// the store does so too once its cache of ids is cold, and nothing may lean on
// that cache. Faults can be injected around an append, so that a test can see
// both an append that failed and one whose answer was lost.
package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Options are the options of New.
type Options struct {
	// Now is the store's clock; nil means time.Now.
	Now func() time.Time
	// BeforeAppend, when set, runs before each append is judged. If it returns
	// an error, the append fails with it and has no effect. It may itself append
	// to the log, as a competing writer would; it runs before that append too.
	BeforeAppend func(stream string, events []eventlog.NewEvent) error
	// AfterAppend, when set, runs after each append that took effect. If it
	// returns an error, the append answers with it, as when the connection
	// breaks before the store's answer arrives.
	AfterAppend func(stream string, events []eventlog.NewEvent) error
}

// Log is an event log in memory. Use New.
type Log struct {
	options       Options
	subscriptions sync.WaitGroup
	closing       context.Context
	close         context.CancelFunc

	mu      sync.Mutex
	all     []eventlog.Event   // in the order of their positions
	streams map[string]*stream // by name
	changed chan struct{}      // closed, and replaced, at each change
}

var _ eventlog.Log = (*Log)(nil)

// stream is what the log knows of one stream.
type stream struct {
	places     []int  // of its events in Log.all, by revision
	maxCount   uint64 // 0: no bound
	tombstoned bool
}

// first returns the first revision that a read may show.
func (s *stream) first() uint64 {
	count := uint64(len(s.places))
	if s.maxCount == 0 || count <= s.maxCount {
		return 0
	}
	return count - s.maxCount
}

// New returns an empty log.
func New(options Options) *Log {
	if options.Now == nil {
		options.Now = time.Now
	}
	closing, end := context.WithCancel(context.Background())
	return &Log{
		options: options,
		closing: closing,
		close:   end,
		streams: map[string]*stream{},
		changed: make(chan struct{}),
	}
}

// Append implements eventlog.Log.
func (l *Log) Append(
	ctx context.Context, name string, expected eventlog.Expected, events ...eventlog.NewEvent,
) (eventlog.Appended, error) {
	if err := l.usable(ctx); err != nil {
		return eventlog.Appended{}, err
	}
	if hook := l.options.BeforeAppend; hook != nil {
		if err := hook(name, events); err != nil {
			return eventlog.Appended{}, err
		}
	}
	appended, err := l.append(name, expected, events)
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", name, err)
	}
	if hook := l.options.AfterAppend; hook != nil {
		if err := hook(name, events); err != nil {
			return eventlog.Appended{}, err
		}
	}
	return appended, nil
}

func (l *Log) append(
	name string, expected eventlog.Expected, events []eventlog.NewEvent,
) (eventlog.Appended, error) {
	if err := eventlog.CheckSize(events); err != nil {
		return eventlog.Appended{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(name, expected); err != nil {
		return eventlog.Appended{}, err
	}
	if len(events) == 0 {
		return eventlog.Appended{}, nil
	}
	last := l.record(name, events)
	return eventlog.Appended{Revision: last.Revision, Position: last.Position}, nil
}

// check tells whether expected holds of the stream. Log.mu is held.
func (l *Log) check(name string, expected eventlog.Expected) error {
	s := l.streams[name]
	if s == nil {
		s = &stream{}
	}
	if s.tombstoned {
		return eventlog.ErrTombstoned
	}
	if !s.meets(expected) {
		return fmt.Errorf("%w: expected %s, has %d events", eventlog.ErrWrongRevision, expected, len(s.places))
	}
	return nil
}

// meets tells whether expected holds.
func (s *stream) meets(expected eventlog.Expected) bool {
	count := uint64(len(s.places))
	switch expected {
	case eventlog.Any:
		return true
	case eventlog.NoStream:
		return count == 0
	case eventlog.StreamExists: // the store is content with metadata
		return count > 0 || s.maxCount > 0
	default:
		revision, ok := expected.Revision()
		return ok && count > 0 && revision == count-1
	}
}

// record writes events at the stream's end and returns the last of them.
// Log.mu is held.
func (l *Log) record(name string, events []eventlog.NewEvent) eventlog.Event {
	s := l.streams[name]
	if s == nil {
		s = &stream{}
		l.streams[name] = s
	}
	// The store's clock ticks in 100 ns.
	created := l.options.Now().UTC().Truncate(100 * time.Nanosecond)
	for _, event := range events {
		l.all = append(l.all, eventlog.Event{
			NewEvent: clone(event),
			Stream:   name,
			Revision: uint64(len(s.places)),
			Position: l.nextPosition(event),
			Created:  created,
		})
		s.places = append(s.places, len(l.all)-1)
	}
	l.announce()
	return l.all[len(l.all)-1]
}

// nextPosition leaves gaps of varying width, so that no test can come to count
// with positions.
func (l *Log) nextPosition(event eventlog.NewEvent) eventlog.Position {
	const header = 64
	at := uint64(header + len(event.Type) + len(event.Data) + len(event.Metadata))
	if n := len(l.all); n > 0 {
		at += l.all[n-1].Position.Commit
	}
	return eventlog.Position{Commit: at, Prepare: at}
}

// announce wakes whoever waits for a change. Log.mu is held.
func (l *Log) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// clone keeps what the log holds apart from what callers hold.
func clone(event eventlog.NewEvent) eventlog.NewEvent {
	event.Data = slices.Clone(event.Data)
	event.Metadata = slices.Clone(event.Metadata)
	return event
}

// SetMaxCount implements eventlog.Log. Like the store, it records the bound as
// an event of the stream's metadata stream.
func (l *Log) SetMaxCount(ctx context.Context, name string, n uint64) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	if n == 0 {
		return errors.New("a stream's max count must be above 0")
	}
	metadata, err := json.Marshal(map[string]uint64{"$maxCount": n})
	if err != nil {
		return fmt.Errorf("stream metadata of %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(name, eventlog.Any); err != nil {
		return fmt.Errorf("set the max count of %s: %w", name, err)
	}
	if s := l.streams[name]; s != nil && s.maxCount == n {
		return nil
	}
	l.record("$$"+name, []eventlog.NewEvent{{ID: uuid.New(), Type: "$metadata", Data: metadata}})
	if l.streams[name] == nil {
		l.streams[name] = &stream{}
	}
	l.streams[name].maxCount = n
	return nil
}

// Tombstone deletes a stream for good. The port has no such call, for Triangle
// deletes no stream; a test may want to see what an operator's deletion does.
func (l *Log) Tombstone(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.record(name, []eventlog.NewEvent{{ID: uuid.New(), Type: "$streamDeleted"}})
	l.streams[last.Stream].tombstoned = true
}

// Ping implements eventlog.Log.
func (l *Log) Ping(ctx context.Context) error { return l.usable(ctx) }

// Close implements eventlog.Log.
func (l *Log) Close() error {
	l.mu.Lock()
	l.close() // under the lock: no subscription begins after it
	l.mu.Unlock()
	l.subscriptions.Wait()
	return nil
}

// usable returns why no call can begin: the log is closed, or ctx has ended.
func (l *Log) usable(ctx context.Context) error {
	if l.closing.Err() != nil {
		return eventlog.ErrClosed
	}
	return ctx.Err()
}
