package persistent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Errors of Subscriptions.
var (
	ErrExists   = errors.New("the persistent subscription exists already")
	ErrNotFound = errors.New("there is no such persistent subscription")
)

// Subscriptions are the groups of a store. Their definitions are the last
// event of a stream, read when they are needed for the first time.
type Subscriptions struct {
	store *storage.Store

	mu       sync.Mutex
	closed   bool
	loaded   bool
	revision int64 // of the last definitions
	groups   map[string]*runner
}

// New returns the groups of store. They must be closed before it.
func New(store *storage.Store) *Subscriptions { return &Subscriptions{store: store} }

// Create adds a group.
func (s *Subscriptions) Create(d Definition) error {
	if err := d.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	view, err := s.open()
	if err != nil {
		return err
	}
	defer view.Release()
	if s.groups[d.String()] != nil {
		return ErrExists
	}
	if err := d.settle(view); err != nil {
		return err
	}
	kept := records{store: s.store, Definition: &d}
	if err := kept.prepare(view); err != nil {
		return err
	}
	if err := s.save(append(s.definitions(""), d)); err != nil {
		return err
	}
	return s.run(&d)
}

// Change is what an update changes.
type Change struct {
	Settings Settings
	Start    *Start // of a group that has no checkpoint yet; nil: as it was
}

// Update changes a group and drops its consumers.
func (s *Subscriptions) Update(key Key, change Change) error {
	if err := change.Settings.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	view, err := s.open()
	if err != nil {
		return err
	}
	defer view.Release()
	before, err := s.lookup(key)
	if err != nil {
		return err
	}
	d := *before.Definition
	d.Settings = change.Settings
	if change.Start != nil {
		d.Start = *change.Start
		if err := d.settle(view); err != nil {
			return err
		}
	}
	if err := s.save(append(s.definitions(key.String()), d)); err != nil {
		return err
	}
	before.stop(ErrDropped)
	return errors.Join(before.flush(), s.run(&d))
}

// Delete removes a group with its parked events, and drops its consumers.
func (s *Subscriptions) Delete(key Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	view, err := s.open()
	if err != nil {
		return err
	}
	view.Release()
	group, err := s.lookup(key)
	if err != nil {
		return err
	}
	if err := s.save(s.definitions(key.String())); err != nil {
		return err
	}
	delete(s.groups, key.String())
	group.stop(ErrDropped)
	view, err = s.store.View()
	if err != nil {
		return err
	}
	defer view.Release()
	return group.remove(view)
}

// Connect adds a consumer, to which up to size events are in flight, to a
// group.
func (s *Subscriptions) Connect(key Key, size int, peer Peer) (*Connection, error) {
	if size < 1 {
		return nil, fmt.Errorf("%w: the buffer size is %d, it must be at least 1", ErrInvalid, size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	group, err := s.find(key)
	if err != nil {
		return nil, err
	}
	return group.connect(size, peer)
}

// Replay delivers a group's parked events again: those before place until, or
// all that there are now, when until is nil.
func (s *Subscriptions) Replay(key Key, until *Place) error {
	if until != nil && *until < 0 {
		return fmt.Errorf("%w: a replay can't stop at %d: use a revision of the stream %s", ErrInvalid, *until, key.Parked())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	group, err := s.find(key)
	if err != nil {
		return err
	}
	return group.replay(until)
}

// Restart drops all consumers and starts all groups anew, from what the store
// says about them.
func (s *Subscriptions) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return storage.ErrClosed
	}
	stopped := s.stop(ErrDropped, (*runner).flush)
	view, err := s.open()
	if err != nil {
		return errors.Join(stopped, err)
	}
	view.Release()
	return stopped
}

// Close ends all groups, orderly: how far they have come is written down.
func (s *Subscriptions) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.stop(storage.ErrClosed, (*runner).flush)
}

// Kill ends all groups at once.
func (s *Subscriptions) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = s.stop(storage.ErrClosed, func(*runner) error { return nil }) // nothing that could fail
}

// stop ends all groups and forgets them.
func (s *Subscriptions) stop(reason error, then func(*runner) error) (err error) {
	for _, group := range s.groups {
		group.stop(reason)
		err = errors.Join(err, then(group))
	}
	s.groups, s.loaded = nil, false
	return err
}

// open returns the store as it is now, when the groups are loaded.
func (s *Subscriptions) open() (*storage.View, error) {
	if s.closed {
		return nil, storage.ErrClosed
	}
	view, err := s.store.View()
	if err != nil || s.loaded {
		return view, err
	}
	if err := s.load(view); err != nil {
		view.Release()
		return nil, err
	}
	return view, nil
}

func (s *Subscriptions) load(view *storage.View) error {
	event, state, err := lastEvent(view, configStream)
	if err != nil {
		return err
	}
	var definitions []Definition
	if event != nil {
		if definitions, err = decodeConfig(event.Data); err != nil {
			return err
		}
	}
	s.groups, s.revision = map[string]*runner{}, state.Last
	for i := range definitions {
		group, err := newRunner(s.store, &definitions[i], view)
		if err != nil {
			return errors.Join(err, s.stop(err, func(*runner) error { return nil }))
		}
		s.groups[group.String()] = group
	}
	s.loaded = true
	return nil
}

// definitions returns those of all groups but one, in a fixed order.
func (s *Subscriptions) definitions(except string) []Definition {
	definitions := make([]Definition, 0, len(s.groups)+1)
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if id != except {
			definitions = append(definitions, *s.groups[id].Definition)
		}
	}
	return definitions
}

// save makes definitions durable. When it fails, someone else wrote them, or
// the store fails or closes: they are read anew the next time.
func (s *Subscriptions) save(definitions []Definition) error {
	data, err := json.Marshal(config{Version: configVersion, Groups: definitions})
	if err != nil {
		return fmt.Errorf("write the definitions of persistent subscriptions: %w", err)
	}
	ctx := context.Background() // whether it was done is always known
	if s.revision == stream.None {
		limits := storage.NewEvent{ID: uuid.New(), Type: stream.MetadataType, JSON: true, Data: []byte("{" + keptRecords + "}")}
		if _, err := s.store.Append(ctx, stream.MetadataOf(configStream), stream.Any, []storage.NewEvent{limits}); err != nil {
			return fmt.Errorf("write the definitions of persistent subscriptions: %w", err)
		}
	}
	event := storage.NewEvent{ID: uuid.New(), Type: configType, JSON: true, Data: data}
	written, err := s.store.Append(ctx, configStream, stream.Expected(s.revision), []storage.NewEvent{event})
	if err != nil {
		err = fmt.Errorf("write the definitions of persistent subscriptions: %w", err)
		return errors.Join(err, s.stop(ErrDropped, (*runner).flush))
	}
	s.revision = written.Last
	return nil
}

func (s *Subscriptions) run(d *Definition) error {
	view, err := s.store.View()
	if err != nil {
		return err
	}
	defer view.Release()
	group, err := newRunner(s.store, d, view)
	if err != nil {
		return err
	}
	s.groups[d.String()] = group
	return nil
}

// find returns a group that runs. One that failed, its stream having been
// deleted, say, is started again: it may have been repaired.
func (s *Subscriptions) find(key Key) (*runner, error) {
	view, err := s.open()
	if err != nil {
		return nil, err
	}
	defer view.Release()
	group, err := s.lookup(key)
	if err != nil || !group.failed() {
		return group, err
	}
	group.stop(nil)
	if err := s.run(group.Definition); err != nil {
		return nil, err
	}
	return s.lookup(key)
}

// lookup returns a group, whether or not it runs. Two keys can come to the
// same name; only one of them can be there.
func (s *Subscriptions) lookup(key Key) (*runner, error) {
	group := s.groups[key.String()]
	if group == nil || group.Key != key {
		return nil, ErrNotFound
	}
	return group, nil
}
