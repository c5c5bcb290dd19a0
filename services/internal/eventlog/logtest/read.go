package logtest

import (
	"context"
	"math"
	"slices"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

var readStreamTales = []tale{
	{"forward from a revision, inclusive", excerpt{eventlog.Forward, 3, 0, []int{3, 4, 5, 6, 7}}.tell},
	{"forward from a revision, at most so many", excerpt{eventlog.Forward, 3, 2, []int{3, 4}}.tell},
	{"forward from the start, exactly so many", excerpt{eventlog.Forward, 0, 8, []int{0, 1, 2, 3, 4, 5, 6, 7}}.tell},
	{"forward from beyond the end", excerpt{eventlog.Forward, 8, 0, nil}.tell},
	{"backward from a revision, inclusive", excerpt{eventlog.Backward, 3, 0, []int{3, 2, 1, 0}}.tell},
	{"backward from a revision, at most so many", excerpt{eventlog.Backward, 3, 2, []int{3, 2}}.tell},
	{"backward from the start", excerpt{eventlog.Backward, 0, 0, []int{0}}.tell},
	{"backward from the end", excerpt{eventlog.Backward, math.MaxUint64, 3, []int{7, 6, 5}}.tell},
	{"backward from the end, all", excerpt{eventlog.Backward, math.MaxUint64, 0, []int{7, 6, 5, 4, 3, 2, 1, 0}}.tell},
	{"a stream that is not there ends with its error", func(f *fixture) {
		for _, direction := range []eventlog.Direction{eventlog.Forward, eventlog.Backward} {
			f.wantError(f.failure(f.log.ReadStream(f.ctx, f.stream("missing"), direction, 0, 1)), eventlog.ErrNoStream)
		}
	}},
	{"a long stream is read whole", func(f *fixture) {
		stream := f.stream("contact")
		var events []eventlog.NewEvent
		for range 5 {
			batch := f.some(400)
			f.append(stream, batch...)
			events = append(events, batch...)
		}
		f.wantEvents(f.whole(stream), recorded(stream, 0, events...))
	}},
	{"a reader may stop early, again and again", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream, f.some(300)...)
		for range 150 { // more than a connection carries at once
			for _, err := range f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0) {
				if err != nil {
					f.Fatal(err)
				}
				break
			}
		}
	}},
	{"a reader may append while it reads", func(f *fixture) {
		stream, other := f.stream("contact"), f.stream("request")
		f.append(stream, f.some(10)...)
		for event, err := range f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0) {
			if err != nil {
				f.Fatal(err)
			}
			f.append(other, f.typed("Copied"))
			_ = event
		}
		if copied := len(f.whole(other)); copied != 10 {
			f.Errorf("%d events were copied, want 10", copied)
		}
	}},
	{"a read can be ranged over twice", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(3)
		f.append(stream, events...)
		read := f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0)
		f.wantEvents(f.all(read), recorded(stream, 0, events...))
		f.wantEvents(f.all(read), recorded(stream, 0, events...))
	}},
	{"the context's end ends the read", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream, f.some(100)...)
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		var failure error
		for _, err := range f.log.ReadStream(ctx, stream, eventlog.Forward, 0, 0) {
			cancel()
			failure = err
		}
		f.wantError(failure, context.Canceled)
	}},
}

// excerpt is a read of a stream of eight events, and the revisions that it must
// show.
type excerpt struct {
	direction eventlog.Direction
	from      uint64
	limit     int
	want      []int
}

func (e excerpt) tell(f *fixture) {
	stream, events := f.stream("contact"), f.some(8)
	f.append(stream, events[:5]...)
	f.append(stream, events[5:]...)
	all := recorded(stream, 0, events...)
	var want []eventlog.Event
	for _, revision := range e.want {
		want = append(want, all[revision])
	}
	f.wantEvents(f.all(f.log.ReadStream(f.ctx, stream, e.direction, e.from, e.limit)), want)
}

var readAllTales = []tale{
	{"forward from a position, inclusive", func(f *fixture) {
		events := f.interleave(6)
		got := f.mine(f.log.ReadAll(f.ctx, eventlog.Forward, &events[2].Position, 0))
		f.wantEvents(got, events[2:])
	}},
	{"forward from the start", func(f *fixture) {
		events := f.interleave(6)
		f.wantEvents(f.mine(f.log.ReadAll(f.ctx, eventlog.Forward, nil, 0)), events)
		f.wantEvents(f.mine(f.log.ReadAll(f.ctx, eventlog.Forward, &eventlog.Position{}, 0)), events)
	}},
	{"forward, at most so many", func(f *fixture) {
		events := f.interleave(6)
		f.wantEvents(f.all(f.log.ReadAll(f.ctx, eventlog.Forward, &events[1].Position, 3)), events[1:4])
	}},
	{"backward before a position, exclusive", func(f *fixture) {
		events := f.interleave(6)
		got := f.all(f.log.ReadAll(f.ctx, eventlog.Backward, &events[4].Position, 4))
		slices.Reverse(got)
		f.wantEvents(got, events[:4])
	}},
	{"backward from the end", func(f *fixture) {
		events := f.interleave(6)
		got := f.all(f.log.ReadAll(f.ctx, eventlog.Backward, nil, 2))
		slices.Reverse(got)
		f.wantEvents(got, events[4:])
	}},
	{"no system event is shown, and none counts against the limit", func(f *fixture) {
		stream, before, after := f.stream("contact"), f.typed("Started"), f.typed("Ended")
		began := f.append(stream, before)
		for n := range uint64(5) {
			if err := f.log.SetMaxCount(f.ctx, stream, 100+n); err != nil {
				f.Fatal(err)
			}
		}
		f.append(stream, after)
		want := recorded(stream, 0, before, after)
		f.wantEvents(f.all(f.log.ReadAll(f.ctx, eventlog.Forward, &began.Position, 2)), want)
		slices.Reverse(want)
		f.wantEvents(f.all(f.log.ReadAll(f.ctx, eventlog.Backward, nil, 2)), want)
	}},
	{"positions strictly increase, and are those of the streams", func(f *fixture) {
		events := f.interleave(9)
		got := f.mine(f.log.ReadAll(f.ctx, eventlog.Forward, &events[0].Position, 0))
		wantIncreasing(f, got)
		for _, event := range got {
			for _, single := range f.all(f.log.ReadStream(f.ctx, event.Stream, eventlog.Forward, event.Revision, 1)) {
				if single.Position != event.Position {
					f.Errorf("%s/%d is at %v in its stream, at %v in $all",
						event.Stream, event.Revision, single.Position, event.Position)
				}
			}
		}
	}},
}

// interleave appends n events to three streams in turn and returns them in the
// order of $all.
func (f *fixture) interleave(n int) []eventlog.Event {
	f.Helper()
	streams := []string{f.stream("contact"), f.stream("request"), f.stream("lead")}
	var events []eventlog.Event
	for i := range n {
		stream, event := streams[i%len(streams)], f.typed("Happened")
		appended := f.append(stream, event)
		recorded := recorded(stream, appended.Revision, event)[0]
		recorded.Position = appended.Position
		events = append(events, recorded)
	}
	return events
}

// wantIncreasing fails the test unless positions strictly increase, from above
// zero, and each stream's revisions follow one another.
func wantIncreasing(f *fixture, events []eventlog.Event) {
	f.Helper()
	var last eventlog.Position
	next := map[string]uint64{}
	for _, event := range events {
		if event.Position.Compare(last) <= 0 {
			f.Fatalf("%s/%d is at %v, after an event at %v", event.Stream, event.Revision, event.Position, last)
		}
		if event.Revision != next[event.Stream] {
			f.Fatalf("%s has revision %d where %d comes next", event.Stream, event.Revision, next[event.Stream])
		}
		last = event.Position
		next[event.Stream]++
	}
}

var maxCountTales = []tale{
	{"only the last events are shown, under their old revisions", func(f *fixture) {
		stream, events := f.stream("status"), f.some(10)
		f.append(stream, events...)
		f.bound(stream, 3)
		f.wantEvents(f.whole(stream), recorded(stream, 7, events[7:]...))
		backward := f.all(f.log.ReadStream(f.ctx, stream, eventlog.Backward, math.MaxUint64, 0))
		slices.Reverse(backward)
		f.wantEvents(backward, recorded(stream, 7, events[7:]...))
	}},
	{"the bound moves on with later events", func(f *fixture) {
		stream, events := f.stream("status"), f.some(10)
		f.bound(stream, 2)
		for _, event := range events {
			f.append(stream, event)
		}
		f.wantEvents(f.whole(stream), recorded(stream, 8, events[8:]...))
	}},
	{"expected revisions count the hidden events too", func(f *fixture) {
		stream := f.stream("status")
		f.append(stream, f.some(5)...)
		f.bound(stream, 1)
		if _, err := f.log.Append(f.ctx, stream, eventlog.At(4), f.typed("Happened")); err != nil {
			f.Fatal(err)
		}
		_, err := f.log.Append(f.ctx, stream, eventlog.At(0), f.typed("Happened"))
		f.wantError(err, eventlog.ErrWrongRevision)
	}},
	{"hidden events stay in $all", func(f *fixture) {
		stream, events := f.stream("status"), f.some(4)
		began := f.append(stream, events[0])
		f.append(stream, events[1:]...)
		f.bound(stream, 1)
		got := f.mine(f.log.ReadAll(f.ctx, eventlog.Forward, &began.Position, 0))
		f.wantEvents(got, recorded(stream, 0, events...))
	}},
	{"a bound makes no stream", func(f *fixture) {
		stream := f.stream("status")
		f.bound(stream, 3)
		f.wantError(f.failure(f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0)), eventlog.ErrNoStream)
		if _, err := f.log.Append(f.ctx, stream, eventlog.NoStream, f.typed("Started")); err != nil {
			f.Fatal(err)
		}
	}},
	{"a bound is enough of a stream to exist for a writer", func(f *fixture) {
		stream := f.stream("status")
		f.bound(stream, 3)
		if _, err := f.log.Append(f.ctx, stream, eventlog.StreamExists, f.typed("Happened")); err != nil {
			f.Fatal(err)
		}
	}},
	{"a wider bound shows again what was hidden", func(f *fixture) {
		stream, events := f.stream("status"), f.some(6)
		f.append(stream, events...)
		f.bound(stream, 1)
		f.bound(stream, 4)
		f.wantEvents(f.whole(stream), recorded(stream, 2, events[2:]...))
	}},
	{"the same bound again is no new event", func(f *fixture) {
		stream := f.stream("status")
		f.append(stream, f.some(1)...)
		for range 3 {
			f.bound(stream, 5)
		}
		if n := len(f.whole("$$" + stream)); n != 1 {
			f.Errorf("the bound was written %d times, want once", n)
		}
	}},
	{"nothing at all is no bound", func(f *fixture) {
		if err := f.log.SetMaxCount(f.ctx, f.stream("status"), 0); err == nil {
			f.Error("a bound of 0 is accepted")
		}
	}},
}

// bound sets a stream's max count.
func (f *fixture) bound(stream string, n uint64) {
	f.Helper()
	if err := f.log.SetMaxCount(f.ctx, stream, n); err != nil {
		f.Fatalf("set the max count of %s: %v", stream, err)
	}
}
