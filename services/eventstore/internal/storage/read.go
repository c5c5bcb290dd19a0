package storage

import (
	"errors"
	"fmt"
	"iter"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Direction is the way a read goes.
type Direction int

// The directions.
const (
	Forward Direction = iota
	Backward
)

// All iterates over $all: Forward from position from on (inclusive), Backward
// from the event before it (exclusive). A record holds until the next step.
func (v *View) All(from uint64, direction Direction) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		bounds := &pebble.IterOptions{LowerBound: []byte{eventTable}, UpperBound: []byte{eventTable + 1}}
		if direction == Forward {
			bounds.LowerBound = eventKey(from)
		} else {
			bounds.UpperBound = eventKey(from)
		}
		it, err := v.snapshot.NewIter(bounds)
		if err != nil {
			yield(Record{}, fmt.Errorf("read $all: %w", err))
			return
		}
		defer func() { _ = it.Close() }() // its error is the one checked below
		first, step := walk(it, direction)
		for ok := first(); ok; ok = step() {
			record, err := readRecord(it)
			if !yield(record, err) || err != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(Record{}, fmt.Errorf("read $all: %w", err))
		}
	}
}

func walk(it *pebble.Iterator, direction Direction) (first, step func() bool) {
	if direction == Forward {
		return it.First, it.Next
	}
	return it.Last, it.Prev
}

func readRecord(it *pebble.Iterator) (Record, error) {
	position, err := decodePosition(it.Key()[1:])
	if err != nil {
		return Record{}, err
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return Record{}, fmt.Errorf("read the event at position %d: %w", position, err)
	}
	return decodeRecord(position, value)
}

// Stream iterates over the visible events of a stream in state, from revision
// from on (inclusive both ways). A revision beyond an end stands for that end.
func (v *View) Stream(name string, state stream.State, from int64, direction Direction) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r := streamReader{view: v, name: name}
		err := r.read(state, from, direction, yield)
		if err != nil {
			yield(Record{}, fmt.Errorf("read stream %q: %w", name, err))
		}
	}
}

// streamReader follows a stream's index and fetches each event.
type streamReader struct {
	view   *View
	name   string
	index  *pebble.Iterator
	events *pebble.Iterator
}

func (r *streamReader) read(state stream.State, from int64, direction Direction, yield func(Record, error) bool) error {
	low, high, err := r.visible(state)
	if err != nil {
		return err
	}
	if direction == Forward {
		low = max(low, from)
	} else {
		high = min(high, from)
	}
	if low > high {
		return nil
	}
	if err := r.open(low, high); err != nil {
		return err
	}
	defer r.close()
	first, step := walk(r.index, direction)
	for ok := first(); ok; ok = step() {
		record, err := r.fetch()
		if err != nil {
			return err
		}
		if !yield(record, nil) {
			return nil
		}
	}
	return r.index.Error()
}

// visible returns the first and the last revision that the stream's metadata
// leaves visible. Events age from the front: the first one that is young
// enough is found by bisection, as the store's clock is taken to run forward.
func (r *streamReader) visible(state stream.State) (low, high int64, err error) {
	limits := stream.LimitsOf(r.name, state)
	low, high = max(limits.First(state.Last), 0), state.Last
	oldest, aged := limits.Oldest(r.view.store.opts.Now())
	if !aged || low > high {
		return low, high, nil
	}
	young := sort.Search(int(high-low+1), func(i int) bool {
		if err != nil {
			return true
		}
		var created Ticks
		created, err = r.created(low + int64(i))
		return created >= TicksOf(oldest)
	})
	return low + int64(young), high, err
}

func (r *streamReader) created(revision int64) (created Ticks, err error) {
	record, closer, err := r.view.at(r.name, revision)
	if err != nil {
		return 0, err
	}
	created = record.created
	return created, closer()
}

func (r *streamReader) open(low, high int64) (err error) {
	bounds := &pebble.IterOptions{LowerBound: indexKey(r.name, low), UpperBound: indexKey(r.name, high+1)}
	if r.index, err = r.view.snapshot.NewIter(bounds); err != nil {
		return err
	}
	bounds = &pebble.IterOptions{LowerBound: []byte{eventTable}, UpperBound: []byte{eventTable + 1}}
	if r.events, err = r.view.snapshot.NewIter(bounds); err != nil {
		return errors.Join(err, r.index.Close())
	}
	return nil
}

// close ends the iterators; what they failed with was returned by then.
func (r *streamReader) close() {
	_ = r.index.Close()
	_ = r.events.Close()
}

func (r *streamReader) fetch() (Record, error) {
	position, err := decodePosition(r.index.Value())
	if err != nil {
		return Record{}, err
	}
	if !r.events.SeekGE(eventKey(position)) {
		return Record{}, errors.Join(errMissingEvent, r.events.Error())
	}
	record, err := readRecord(r.events)
	if err == nil && record.position != position {
		err = fmt.Errorf("%w: position %d", errMissingEvent, position)
	}
	return record, err
}

// ErrNoEvent says that a stream has no event at a revision.
var ErrNoEvent = errors.New("there is no such event")

// Event returns the event at a revision of a stream, whether or not the
// stream's metadata hides it.
func (v *View) Event(name string, revision int64) (Event, error) {
	record, closer, err := v.at(name, revision)
	if err != nil {
		return Event{}, err
	}
	event := record.Event()
	return event, closer()
}

// at returns a record, which holds until done is called.
func (v *View) at(name string, revision int64) (_ Record, done func() error, err error) {
	var position uint64
	err = get(v.snapshot, indexKey(name, revision), func(value []byte) error {
		position, err = decodePosition(value)
		return err
	})
	if errors.Is(err, pebble.ErrNotFound) {
		err = fmt.Errorf("%w: revision %d of stream %q", ErrNoEvent, revision, name)
	}
	if err != nil {
		return Record{}, nil, err
	}
	value, closer, err := v.snapshot.Get(eventKey(position))
	if err != nil {
		return Record{}, nil, fmt.Errorf("%w: position %d: %w", errMissingEvent, position, err)
	}
	record, err := decodeRecord(position, value)
	if err != nil {
		return Record{}, nil, errors.Join(err, closer.Close())
	}
	return record, closer.Close, nil
}
