package storage

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
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
		records := v.store.log.Forward(from, v.end)
		if direction == Backward {
			records = v.store.log.Backward(from, v.end)
		}
		for r, err := range records {
			var record Record
			if err == nil {
				record, err = decodeRecord(r.Position, r.Payload)
			}
			if err != nil {
				yield(Record{}, fmt.Errorf("read $all: %w", err))
				return
			}
			if !yield(record, nil) {
				return
			}
		}
	}
}

func walk(it *pebble.Iterator, direction Direction) (first, step func() bool) {
	if direction == Forward {
		return it.First, it.Next
	}
	return it.Last, it.Prev
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
	events *journal.Reader
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
	record, done, err := r.view.at(r.name, revision)
	if errors.Is(err, ErrNoEvent) {
		return math.MinInt64, nil // it was scavenged, for its age
	}
	if err != nil {
		return 0, err
	}
	defer done()
	return record.created, nil
}

func (r *streamReader) open(low, high int64) (err error) {
	bounds := &pebble.IterOptions{LowerBound: indexKey(r.name, low), UpperBound: indexKey(r.name, high+1)}
	if r.index, err = r.view.snapshot.NewIter(bounds); err != nil {
		return err
	}
	r.events = r.view.store.log.NewReader()
	return nil
}

// close ends the iterator; what it failed with was returned by then.
func (r *streamReader) close() {
	_ = r.index.Close()
	r.events.Close()
}

func (r *streamReader) fetch() (Record, error) {
	position, err := decodePosition(r.index.Value())
	if err != nil {
		return Record{}, err
	}
	payload, err := r.events.Read(position)
	if err != nil {
		return Record{}, err
	}
	return decodeRecord(position, payload)
}

// ErrNoEvent says that a stream has no event at a revision.
var ErrNoEvent = errors.New("there is no such event")

// Event returns the event at a revision of a stream, whether or not the
// stream's metadata hides it.
func (v *View) Event(name string, revision int64) (Event, error) {
	record, done, err := v.at(name, revision)
	if err != nil {
		return Event{}, err
	}
	defer done()
	return record.Event(), nil
}

// at returns a record, which holds until done is called.
func (v *View) at(name string, revision int64) (_ Record, done func(), err error) {
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
	reader := v.store.log.NewReader()
	payload, err := reader.Read(position)
	var record Record
	if err == nil {
		record, err = decodeRecord(position, payload)
	}
	if err != nil {
		reader.Close()
		return Record{}, nil, err
	}
	return record, reader.Close, nil
}
