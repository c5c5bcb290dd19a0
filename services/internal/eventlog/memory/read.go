package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// ReadStream implements eventlog.Log. It shows the stream as it was when the
// range began.
func (l *Log) ReadStream(
	ctx context.Context, name string, direction eventlog.Direction, from uint64, limit int,
) iter.Seq2[eventlog.Event, error] {
	return l.read(ctx, func() ([]eventlog.Event, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		s, err := l.existing(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return l.at(choose(s.visible(direction, from), direction, limit)), nil
	})
}

// existing returns the stream, or why it can't be read. Log.mu is held.
func (l *Log) existing(name string) (*stream, error) {
	switch s := l.streams[name]; {
	case s == nil:
		return nil, eventlog.ErrNoStream
	case s.tombstoned:
		return nil, eventlog.ErrTombstoned
	case len(s.places) == 0: // only its metadata was written
		return nil, eventlog.ErrNoStream
	default:
		return s, nil
	}
}

// visible returns the places of the events that a read from a revision shows,
// in the stream's order.
func (s *stream) visible(direction eventlog.Direction, from uint64) []int {
	first, end := s.first(), uint64(len(s.places))
	if direction == eventlog.Forward {
		return s.places[min(max(first, from), end):]
	}
	if from < end {
		end = from + 1
	}
	return s.places[min(first, end):end]
}

// ReadAll implements eventlog.Log. It shows $all as it was when the range
// began.
func (l *Log) ReadAll(
	ctx context.Context, direction eventlog.Direction, from *eventlog.Position, limit int,
) iter.Seq2[eventlog.Event, error] {
	return l.read(ctx, func() ([]eventlog.Event, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		first, end := 0, len(l.all)
		switch {
		case from == nil:
		case direction == eventlog.Forward:
			first = l.placeOf(*from)
		default:
			end = l.placeOf(*from)
		}
		var places []int
		for place := first; place < end; place++ {
			if !eventlog.IsSystem(l.all[place].Type) {
				places = append(places, place)
			}
		}
		return l.at(choose(places, direction, limit)), nil
	})
}

// placeOf returns the place of the first event at position or after it.
// Log.mu is held.
func (l *Log) placeOf(position eventlog.Position) int {
	return sort.Search(len(l.all), func(i int) bool {
		return l.all[i].Position.Compare(position) >= 0
	})
}

// choose puts places in the read's direction and keeps to its limit.
func choose(places []int, direction eventlog.Direction, limit int) []int {
	places = slices.Clone(places)
	if direction == eventlog.Backward {
		slices.Reverse(places)
	}
	if limit > 0 && limit < len(places) {
		places = places[:limit]
	}
	return places
}

// at returns copies of the events at places. Log.mu is held.
func (l *Log) at(places []int) []eventlog.Event {
	events := make([]eventlog.Event, 0, len(places))
	for _, place := range places {
		event := l.all[place]
		event.NewEvent = clone(event.NewEvent)
		events = append(events, event)
	}
	return events
}

// read yields what snapshot returns, without holding the log meanwhile, until
// ctx ends.
func (l *Log) read(
	ctx context.Context, snapshot func() ([]eventlog.Event, error),
) iter.Seq2[eventlog.Event, error] {
	return func(yield func(eventlog.Event, error) bool) {
		if err := l.usable(ctx); err != nil {
			yield(eventlog.Event{}, err)
			return
		}
		events, err := snapshot()
		if err != nil {
			yield(eventlog.Event{}, err)
			return
		}
		for _, event := range events {
			if err := ctx.Err(); err != nil {
				yield(eventlog.Event{}, err)
				return
			}
			if !yield(event, nil) {
				return
			}
		}
	}
}
