package logtest

import (
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// manyEvents is more than any implementation's buffers hold, so that a reader
// who does not read blocks the feeder.
const manyEvents = 3000

var followAllTales = []tale{
	{"from the start, what was there before", func(f *fixture) {
		events := f.interleave(6)
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		s.wantNext(events...)
	}},
	{"after a position, exclusive", func(f *fixture) {
		events := f.interleave(6)
		s := f.followAll(eventlog.AllOptions{After: events[2].Position, Filter: f.everything()})
		s.wantNext(events[3:]...)
	}},
	{"after the last position, only what is new", func(f *fixture) {
		events := f.interleave(3)
		s := f.followAll(eventlog.AllOptions{After: events[2].Position, Filter: f.everything()})
		s.awaitLive()
		s.wantNext(f.interleaveMore(events, 2)...)
	}},
	{"live after it has caught up", func(f *fixture) {
		events := f.interleave(3)
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		s.wantNext(events...)
		s.awaitLive()
		for range 3 {
			event := f.typed("Happened")
			appended := f.append(f.stream("contact"), event)
			s.wantNext(recorded(f.stream("contact"), appended.Revision, event)...)
		}
	}},
	{"an event arrives as it is read", func(f *fixture) {
		appended := f.append(f.stream("contact"), f.typed("Started"))
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		message := s.nextEvent()
		want := f.whole(f.stream("contact"))[0]
		if message.Position != appended.Position || message.Event.Position != appended.Position {
			f.Errorf("delivered at %v and %v, want %v", message.Position, message.Event.Position, appended.Position)
		}
		if !message.Event.Created.Equal(want.Created) {
			f.Errorf("created at %v, want %v", message.Event.Created, want.Created)
		}
	}},
	{"without a filter, all but system events", func(f *fixture) {
		began := f.append(f.stream("contact"), f.typed("Started"))
		f.bound(f.stream("contact"), 10)
		event := f.typed("Ended")
		f.append(f.stream("contact"), event)
		s := f.followAll(eventlog.AllOptions{After: began.Position})
		s.wantNext(recorded(f.stream("contact"), 1, event)...)
	}},
	{"chosen by the prefixes of types", choice{func(tag string) eventlog.Filter {
		return eventlog.Filter{TypePrefixes: []string{tag + ".Started", tag + ".Marked"}}
	}, []int{0, 2, 3, 4}}.tell},
	{"chosen by an expression over types", choice{func(tag string) eventlog.Filter {
		return eventlog.Filter{TypeRegex: `^` + tag + `\.(Started|Marked)$`}
	}, []int{0, 2, 4}}.tell},
	{"chosen by the prefixes of streams", choice{func(tag string) eventlog.Filter {
		return eventlog.Filter{StreamPrefixes: []string{tag + ".contact-", tag + ".mark-"}}
	}, []int{0, 1, 4}}.tell},
	{"chosen by an expression over streams", choice{func(tag string) eventlog.Filter {
		return eventlog.Filter{StreamRegex: tag + `\.(lead|mark)-\d`}
	}, []int{2, 3, 4}}.tell},
	{"a filter that can't be meant is refused", func(f *fixture) {
		_, err := f.log.SubscribeAll(f.ctx, eventlog.AllOptions{
			Filter: eventlog.Filter{TypePrefixes: []string{"a"}, StreamPrefixes: []string{"b"}},
		})
		f.wantError(err, eventlog.ErrFilter)
	}},
	{"a checkpoint moves on while nothing is chosen, and loses nothing", tellCheckpoint},
	{"a slow reader loses nothing", func(f *fixture) {
		stream := f.stream("contact")
		s := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		s.wantAllOf(stream, f.flood(stream))
	}},
	{"two readers do not disturb one another", func(f *fixture) {
		stream := f.stream("contact")
		idle := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		busy := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		events := f.flood(stream)
		busy.wantAllOf(stream, events)
		idle.wantAllOf(stream, events)
	}},
}

var followStreamTales = []tale{
	{"from a revision, inclusive", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(6)
		f.append(stream, events...)
		f.append(f.stream("other"), f.some(1)...)
		s := f.followStream(stream, 2)
		s.wantNext(recorded(stream, 2, events[2:]...)...)
	}},
	{"from the start", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(6)
		f.append(stream, events...)
		f.followStream(stream, 0).wantNext(recorded(stream, 0, events...)...)
	}},
	{"before it exists", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(3)
		s := f.followStream(stream, 0)
		s.awaitLive()
		f.append(stream, events...)
		s.wantNext(recorded(stream, 0, events...)...)
	}},
	{"from a revision that is still to come", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(3)
		f.append(stream, events[0])
		s := f.followStream(stream, 2)
		s.awaitLive()
		f.append(stream, events[1:]...)
		s.wantNext(recorded(stream, 2, events[2])...)
	}},
	{"live after it has caught up", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(4)
		f.append(stream, events[0])
		s := f.followStream(stream, 0)
		s.wantNext(recorded(stream, 0, events[0])...)
		s.awaitLive()
		f.append(stream, events[1])
		f.append(stream, events[2:]...)
		s.wantNext(recorded(stream, 1, events[1:]...)...)
	}},
	{"only what its bound shows", func(f *fixture) {
		stream, events := f.stream("status"), f.some(6)
		f.append(stream, events...)
		f.bound(stream, 2)
		f.followStream(stream, 0).wantNext(recorded(stream, 4, events[4:]...)...)
	}},
	{"a slow reader loses nothing", func(f *fixture) {
		stream := f.stream("contact")
		s := f.followStream(stream, 0)
		s.wantAllOf(stream, f.flood(stream))
	}},
}

// choice is a filter, and which of five events it chooses; the last of them is
// chosen always, so that it tells that all have been considered.
type choice struct {
	filter func(tag string) eventlog.Filter
	want   []int
}

func (c choice) tell(f *fixture) {
	var events []eventlog.Event
	for _, e := range []struct{ stream, name string }{
		{"contact", "Started"}, {"contact", "Ended"}, {"lead", "Started"}, {"lead", "StartedAgain"}, {"mark", "Marked"},
	} {
		event := f.typed(e.name)
		appended := f.append(f.stream(e.stream), event)
		events = append(events, recorded(f.stream(e.stream), appended.Revision, event)...)
	}
	s := f.followAll(eventlog.AllOptions{Filter: c.filter(f.tag)})
	for _, chosen := range c.want {
		s.wantNext(events[chosen])
	}
}

func tellCheckpoint(f *fixture) {
	filter := eventlog.Filter{TypePrefixes: []string{f.tag + ".Wanted"}}
	s := f.followAll(eventlog.AllOptions{Filter: filter})
	wanted := []eventlog.NewEvent{f.typed("Wanted"), f.typed("Wanted")}
	first := f.append(f.stream("contact"), wanted[0])
	s.wantNext(recorded(f.stream("contact"), 0, wanted[0])...)
	for range 6 {
		f.append(f.stream("other"), f.some(200)...)
	}
	var checkpoint eventlog.Position
	for checkpoint.Compare(first.Position) <= 0 {
		message := s.next()
		switch message.Kind {
		case eventlog.KindEvent:
			f.Fatalf("event %s of %s was not to be chosen", message.Event.Type, message.Event.Stream)
		case eventlog.KindCheckpoint:
			checkpoint = message.Position
		}
	}
	f.append(f.stream("contact"), wanted[1])
	again := f.followAll(eventlog.AllOptions{After: checkpoint, Filter: filter})
	again.wantNext(recorded(f.stream("contact"), 1, wanted[1])...)
}

// everything chooses all events of this test.
func (f *fixture) everything() eventlog.Filter {
	return eventlog.Filter{TypePrefixes: []string{f.tag + "."}}
}

// interleaveMore appends n events more to the stream of the last one.
func (f *fixture) interleaveMore(events []eventlog.Event, n int) []eventlog.Event {
	f.Helper()
	stream, more := events[len(events)-1].Stream, f.some(n)
	appended := f.append(stream, more...)
	return recorded(stream, appended.Revision+1-uint64(n), more...)
}

// flood appends manyEvents events to stream.
func (f *fixture) flood(stream string) []eventlog.NewEvent {
	f.Helper()
	var events []eventlog.NewEvent
	for len(events) < manyEvents {
		batch := f.some(250)
		f.append(stream, batch...)
		events = append(events, batch...)
	}
	return events
}

// follower reads one subscription and checks what must hold of each.
type follower struct {
	*fixture
	subscription eventlog.Subscription
	last         eventlog.Position
	seen         map[uuid.UUID]bool
	live         bool
}

func (f *fixture) followAll(options eventlog.AllOptions) *follower {
	f.Helper()
	subscription, err := f.log.SubscribeAll(f.ctx, options)
	return f.follow(subscription, err, options.After)
}

func (f *fixture) followStream(stream string, from uint64) *follower {
	f.Helper()
	subscription, err := f.log.SubscribeStream(f.ctx, stream, eventlog.StreamOptions{From: from})
	return f.follow(subscription, err, eventlog.Position{})
}

func (f *fixture) follow(subscription eventlog.Subscription, err error, after eventlog.Position) *follower {
	f.Helper()
	if err != nil {
		f.Fatalf("subscribe: %v", err)
	}
	f.Cleanup(subscription.Close)
	return &follower{fixture: f, subscription: subscription, last: after, seen: map[uuid.UUID]bool{}}
}

// next returns the next message, which must come in order and only once.
func (s *follower) next() eventlog.Message {
	s.Helper()
	select {
	case message, open := <-s.subscription.Messages():
		if !open {
			s.Fatalf("the subscription has ended: %v", s.subscription.Err())
		}
		s.check(message)
		return message
	case <-s.ctx.Done():
		s.Fatal("no message came in time")
		return eventlog.Message{}
	}
}

func (s *follower) check(message eventlog.Message) {
	s.Helper()
	switch message.Kind {
	case eventlog.KindEvent:
		if s.seen[message.Event.ID] || message.Event.Position.Compare(s.last) <= 0 {
			s.Fatalf("%s/%d came at %v after %v", message.Event.Stream, message.Event.Revision, message.Event.Position, s.last)
		}
		s.seen[message.Event.ID] = true
		s.last = message.Event.Position
	case eventlog.KindCheckpoint:
		if message.Position.Compare(s.last) < 0 {
			s.Fatalf("a checkpoint went back from %v to %v", s.last, message.Position)
		}
		s.last = message.Position
	case eventlog.KindCaughtUp:
		s.live = true
	}
}

// nextEvent passes over what is no event.
func (s *follower) nextEvent() eventlog.Message {
	s.Helper()
	for {
		if message := s.next(); message.Kind == eventlog.KindEvent {
			return message
		}
	}
}

// wantNext fails the test unless exactly these events come next.
func (s *follower) wantNext(want ...eventlog.Event) {
	s.Helper()
	for _, event := range want {
		s.wantEvents([]eventlog.Event{s.nextEvent().Event}, []eventlog.Event{event})
	}
}

// wantAllOf fails the test unless the next events are stream's, from its start.
func (s *follower) wantAllOf(stream string, events []eventlog.NewEvent) {
	s.Helper()
	got := make([]eventlog.Event, 0, len(events))
	for range events {
		got = append(got, s.nextEvent().Event)
	}
	s.wantEvents(got, recorded(stream, 0, events...))
}

// awaitLive reads until the subscription is live; no event may come before.
func (s *follower) awaitLive() {
	s.Helper()
	for !s.live {
		if message := s.next(); message.Kind == eventlog.KindEvent {
			s.Fatalf("event %s/%d came before the subscription was live", message.Event.Stream, message.Event.Revision)
		}
	}
}

// wantEnd fails the test unless the subscription ends soon, with target.
func (s *follower) wantEnd(target error) {
	s.Helper()
	ended := time.After(patience)
	for {
		select {
		case _, open := <-s.subscription.Messages():
			if !open {
				s.wantError(s.subscription.Err(), target)
				return
			}
		case <-ended:
			s.Fatal("the subscription does not end")
		}
	}
}
