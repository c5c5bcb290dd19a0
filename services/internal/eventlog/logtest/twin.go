package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// twin is the naive twin of a log: slices, and no thought.
type twin struct {
	all      []eventlog.Event
	maxCount map[string]int
}

// stream returns all of a stream's events, hidden ones too.
func (m *twin) stream(name string) []eventlog.Event {
	var events []eventlog.Event
	for _, event := range m.all {
		if event.Stream == name {
			events = append(events, event)
		}
	}
	return events
}

// visible returns a stream's events as a read shows them.
func (m *twin) visible(name string, direction eventlog.Direction, from uint64, limit int) []eventlog.Event {
	events := m.stream(name)
	if n := m.maxCount[name]; n > 0 && len(events) > n {
		events = events[len(events)-n:]
	}
	if direction == eventlog.Backward {
		slices.Reverse(events)
	}
	events = slices.DeleteFunc(events, func(event eventlog.Event) bool {
		if direction == eventlog.Forward {
			return event.Revision < from
		}
		return event.Revision > from
	})
	if limit > 0 && len(events) > limit {
		events = events[:limit]
	}
	return events
}

// accepts tells whether an expectation holds of a stream.
func (m *twin) accepts(name string, expected eventlog.Expected) bool {
	count := uint64(len(m.stream(name)))
	revision, isRevision := expected.Revision()
	return expected == eventlog.Any ||
		expected == eventlog.NoStream && count == 0 ||
		expected == eventlog.StreamExists && (count > 0 || m.maxCount[name] > 0) ||
		isRevision && count == revision+1
}

// history drives a log and its twin side by side.
type history struct {
	ctx  context.Context
	log  eventlog.Log
	twin twin
	tag  string
}

// compareWithTwin lets rapid think up histories, and compares all that the log
// shows with what its twin holds.
func compareWithTwin(t *testing.T, log eventlog.Log) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{ctx: context.Background(), log: log, tag: newTag(), twin: twin{maxCount: map[string]int{}}}
		h.append(t) // so that $all has a place where this history begins
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3, 4:
				h.append(t)
			case 5, 6:
				h.readStream(t)
			case 7:
				h.readAll(t)
			case 8:
				h.bound(t)
			default:
				h.follow(t)
			}
		}
		h.readAll(t)
		h.follow(t)
	})
}

func (h *history) drawStream(t *rapid.T) string {
	return h.tag + rapid.SampledFrom([]string{".contact-1", ".contact-2", ".lead-1"}).Draw(t, "stream")
}

func (h *history) drawExpected(t *rapid.T, stream string) eventlog.Expected {
	last := max(len(h.twin.stream(stream))-1, 0)
	return rapid.OneOf(
		rapid.SampledFrom([]eventlog.Expected{eventlog.Any, eventlog.NoStream, eventlog.StreamExists}),
		rapid.Map(rapid.IntRange(max(last-1, 0), last+1), func(n int) eventlog.Expected { return eventlog.At(uint64(n)) }),
	).Draw(t, "expected")
}

func (h *history) append(t *rapid.T) {
	stream := h.drawStream(t)
	expected := eventlog.Any
	if len(h.twin.all) > 0 {
		expected = h.drawExpected(t, stream)
	}
	events := make([]eventlog.NewEvent, rapid.IntRange(1, 3).Draw(t, "events"))
	for i := range events {
		name := rapid.SampledFrom([]string{".Started", ".StartedAgain", ".Ended"}).Draw(t, "type")
		events[i] = eventlog.NewEvent{ID: uuid.New(), Type: h.tag + name, Data: []byte(`{}`)}
	}
	appended, err := h.log.Append(h.ctx, stream, expected, events...)
	if !h.twin.accepts(stream, expected) {
		if !errors.Is(err, eventlog.ErrWrongRevision) {
			t.Fatalf("append to %s expecting %s: %v, want ErrWrongRevision", stream, expected, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("append to %s expecting %s: %v", stream, expected, err)
	}
	h.remember(t, stream, events, appended)
}

// remember lets the twin record what the log has accepted.
func (h *history) remember(t *rapid.T, stream string, events []eventlog.NewEvent, appended eventlog.Appended) {
	for _, event := range events {
		next := uint64(len(h.twin.stream(stream)))
		h.twin.all = append(h.twin.all, recorded(stream, next, event)...)
	}
	last := &h.twin.all[len(h.twin.all)-1]
	last.Position = appended.Position // known of the last event of an append only
	if appended.Revision != last.Revision {
		t.Fatalf("append to %s ended at revision %d, want %d", stream, appended.Revision, last.Revision)
	}
}

func (h *history) readStream(t *rapid.T) {
	stream := h.drawStream(t)
	direction := rapid.SampledFrom([]eventlog.Direction{eventlog.Forward, eventlog.Backward}).Draw(t, "direction")
	from := rapid.OneOf(rapid.Uint64Range(0, 8), rapid.Just(uint64(math.MaxUint64))).Draw(t, "from")
	if direction == eventlog.Forward && from == math.MaxUint64 {
		from = 0 // from the end, there is no forward
	}
	limit := rapid.IntRange(0, 4).Draw(t, "limit")
	got, err := collect(h.log.ReadStream(h.ctx, stream, direction, from, limit))
	if len(h.twin.stream(stream)) == 0 {
		if !errors.Is(err, eventlog.ErrNoStream) {
			t.Fatalf("read %s: %v, want ErrNoStream", stream, err)
		}
		return
	}
	h.compare(t, fmt.Sprintf("read %s %v from %d limit %d", stream, direction, from, limit),
		got, err, h.twin.visible(stream, direction, from, limit))
}

// readAll reads this history's part of $all, forward and backward.
func (h *history) readAll(t *rapid.T) {
	began, err := h.began()
	if err != nil {
		t.Fatal(err)
	}
	forward, err := collect(h.log.ReadAll(h.ctx, eventlog.Forward, &began, 0))
	h.compare(t, "read $all forward", mine(h.tag, forward), err, h.twin.all)
	backward, err := collect(h.log.ReadAll(h.ctx, eventlog.Backward, nil, len(h.twin.all)))
	slices.Reverse(backward)
	h.compare(t, "read $all backward", backward, err, h.twin.all)
}

// began returns the position of this history's first event.
func (h *history) began() (eventlog.Position, error) {
	first, err := collect(h.log.ReadAll(h.ctx, eventlog.Backward, nil, len(h.twin.all)))
	if err != nil || len(first) == 0 {
		return eventlog.Position{}, fmt.Errorf("find the first event: %w", err)
	}
	return first[len(first)-1].Position, nil
}

func (h *history) bound(t *rapid.T) {
	stream := h.drawStream(t)
	n := rapid.IntRange(1, 5).Draw(t, "max count")
	if err := h.log.SetMaxCount(h.ctx, stream, uint64(n)); err != nil {
		t.Fatalf("set the max count of %s: %v", stream, err)
	}
	h.twin.maxCount[stream] = n
}

// follow subscribes after a position that an append has answered, and compares
// what comes up to the history's last event that the filter chooses.
func (h *history) follow(t *rapid.T) {
	filter, want := h.drawFilter(t)
	known := []int{-1}
	for i, event := range h.twin.all {
		if event.Position != (eventlog.Position{}) {
			known = append(known, i)
		}
	}
	after := rapid.SampledFrom(known).Draw(t, "after")
	options := eventlog.AllOptions{Filter: filter}
	var chosen []eventlog.Event
	for i, event := range h.twin.all {
		if i == after {
			options.After = event.Position
		}
		if i > after && want(event) {
			chosen = append(chosen, event)
		}
	}
	got, err := h.take(options, len(chosen))
	h.compare(t, fmt.Sprintf("follow %+v", options), got, err, chosen)
}

func (h *history) drawFilter(t *rapid.T) (eventlog.Filter, func(eventlog.Event) bool) {
	switch rapid.IntRange(0, 3).Draw(t, "filter") {
	case 0:
		prefix := h.tag + ".Started"
		return eventlog.Filter{TypePrefixes: []string{prefix}},
			func(e eventlog.Event) bool { return strings.HasPrefix(e.Type, prefix) }
	case 1:
		return eventlog.Filter{TypeRegex: "^" + h.tag + `\.Started$`},
			func(e eventlog.Event) bool { return e.Type == h.tag+".Started" }
	case 2:
		prefixes := []string{h.tag + ".contact-2", h.tag + ".lead-"}
		return eventlog.Filter{StreamPrefixes: prefixes},
			func(e eventlog.Event) bool { return e.Stream != h.tag+".contact-1" }
	default:
		return eventlog.Filter{StreamRegex: "^" + h.tag + `\.contact-\d$`},
			func(e eventlog.Event) bool { return e.Stream != h.tag+".lead-1" }
	}
}

// take returns the first n events of a subscription.
func (h *history) take(options eventlog.AllOptions, n int) ([]eventlog.Event, error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	subscription, err := h.log.SubscribeAll(ctx, options)
	if err != nil {
		return nil, err
	}
	defer subscription.Close()
	var events []eventlog.Event
	for len(events) < n {
		message, open := <-subscription.Messages()
		if !open {
			return events, subscription.Err()
		}
		if message.Kind == eventlog.KindEvent {
			events = append(events, message.Event)
		}
	}
	return events, nil
}

func (h *history) compare(t *rapid.T, what string, got []eventlog.Event, err error, want []eventlog.Event) {
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if difference := diff(want, got); difference != "" {
		t.Fatalf("%s (-want +got):\n%s", what, difference)
	}
}

// collect reads to the end, or to the first error.
func collect(read iter.Seq2[eventlog.Event, error]) ([]eventlog.Event, error) {
	var events []eventlog.Event
	for event, err := range read {
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
	return events, nil
}

// mine returns the events whose types begin with tag.
func mine(tag string, events []eventlog.Event) []eventlog.Event {
	return slices.DeleteFunc(slices.Clone(events), func(event eventlog.Event) bool {
		return !strings.HasPrefix(event.Type, tag)
	})
}
