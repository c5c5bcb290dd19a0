package eventstore_test

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestStreamSubscriptionBegins(t *testing.T) {
	cases := map[string]struct {
		from esdb.StreamPosition
		want []uint64 // of 3 events before it and 2 after
	}{
		"at the start, inclusive":     {esdb.Start{}, []uint64{0, 1, 2, 3, 4}},
		"after a revision":            {esdb.Revision(1), []uint64{2, 3, 4}},
		"after the last":              {esdb.Revision(2), []uint64{3, 4}},
		"after what is still to come": {esdb.Revision(3), []uint64{4}},
		"at the end":                  {esdb.End{}, []uint64{3, 4}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.append("s", events(3)...)
			w := f.followStream("s", tc.from)
			before, _ := w.catchUp()
			f.append("other", events(2)...)
			f.append("s", events(1)...)
			f.append("s", events(1)...)
			got := append(before, w.events(len(tc.want)-len(before))...)
			if diff := cmp.Diff(tc.want, revisionsOf(got)); diff != "" {
				t.Errorf("revisions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSubscriptionToAStreamThatIsNotThereYet(t *testing.T) {
	f := newFixture(t)
	w := f.followStream("s", esdb.Start{})
	if before, _ := w.catchUp(); len(before) > 0 {
		t.Fatalf("received %d events of nothing", len(before))
	}
	sent := events(2)
	f.append("s", sent...)
	if diff := cmp.Diff(idsSent(sent), idsOf(w.events(2))); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestSubscriptionOutlivesASoftDelete(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(2)...)
	w := f.followStream("s", esdb.Start{})
	w.catchUp()
	f.softDelete("s")
	f.append("s", events(1)...)
	if diff := cmp.Diff([]uint64{2}, revisionsOf(w.events(1))); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestTombstoneEndsSubscriptions(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(1)...)
	w := f.followStream("s", esdb.Start{})
	w.catchUp()
	f.tombstone("s")
	for {
		message := w.sub.Recv()
		if message.EventAppeared != nil {
			t.Fatalf("received %+v after the tombstone", message.EventAppeared.Event)
		}
		if message.SubscriptionDropped != nil {
			break
		}
	}
	w = f.followStream("s", esdb.Start{}) // is confirmed all the same, then ends
	if message := w.sub.Recv(); message.SubscriptionDropped == nil {
		t.Errorf("a subscription to a deleted stream goes on with %+v", message)
	}
}

func TestAllSubscriptionBegins(t *testing.T) {
	f := newFixture(t)
	before := events(3)
	f.append("s", before...)
	all := f.readAll(esdb.ReadAllOptions{})
	cases := map[string]struct {
		from esdb.AllPosition
		want []esdb.EventData
	}{
		"at the start, inclusive": {esdb.Start{}, before},
		"after a position":        {all[0].Event.Position, before[1:]},
		"after the last":          {all[2].Event.Position, nil},
		"at the end":              {esdb.End{}, nil},
	}
	followers := map[string]*follower{}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := f.followAll(esdb.SubscribeToAllOptions{From: tc.from})
			got, _ := w.catchUp()
			if diff := cmp.Diff(idsSent(tc.want), idsOf(got)); diff != "" {
				t.Errorf("before it caught up (-want +got):\n%s", diff)
			}
			followers[name] = w
		})
	}
	after := events(2)
	f.append("t", after...)
	for name, w := range followers {
		if diff := cmp.Diff(idsSent(after), idsOf(w.events(2))); diff != "" {
			t.Errorf("%s, live (-want +got):\n%s", name, diff)
		}
	}
}

func TestFilters(t *testing.T) {
	types := []string{"a.Done", "a.Begun", "b.Done", "$a.System"}
	streams := []string{"contact-1", "contact-x", "lead-1", "$lead"}
	cases := map[string]struct {
		filter esdb.SubscriptionFilter
		want   func(eventType, stream string) bool
	}{
		"type prefix":      {esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"a."}}, func(e, _ string) bool { return e[0] == 'a' }},
		"type prefixes":    {esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"a.B", "b."}}, func(e, _ string) bool { return e == "a.Begun" || e == "b.Done" }},
		"type pattern":     {esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: `\.Done$`}, func(e, _ string) bool { return e == "a.Done" || e == "b.Done" }},
		"no system events": {*esdb.ExcludeSystemEventsFilter(), func(e, _ string) bool { return e[0] != '$' }},
		"stream prefix":    {esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"contact-"}}, func(_, s string) bool { return s[0] == 'c' }},
		"stream pattern":   {esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: `-\d$`}, func(_, s string) bool { return s == "contact-1" || s == "lead-1" }},
	}
	f := newFixture(t)
	write := func() {
		for _, stream := range streams {
			for _, eventType := range types {
				f.append(stream, typed(eventType))
			}
		}
	}
	write()
	wanted := func(choose func(string, string) bool) (want []string) {
		for _, stream := range streams {
			for _, eventType := range types {
				if choose(eventType, stream) {
					want = append(want, stream+" "+eventType)
				}
			}
		}
		return want
	}
	followers := map[string]*follower{}
	for name, tc := range cases {
		w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: &tc.filter})
		got, _ := w.catchUp()
		if diff := cmp.Diff(wanted(tc.want), namesOf(got)); diff != "" {
			t.Errorf("%s, catching up (-want +got):\n%s", name, diff)
		}
		followers[name] = w
	}
	write()
	for name, tc := range cases {
		want := wanted(tc.want)
		if diff := cmp.Diff(want, namesOf(followers[name].events(len(want)))); diff != "" {
			t.Errorf("%s, live (-want +got):\n%s", name, diff)
		}
	}
}

func namesOf(events []*esdb.ResolvedEvent) (names []string) {
	for _, e := range events {
		names = append(names, e.Event.StreamID+" "+e.Event.EventType)
	}
	return names
}

func TestCheckpointsComeAtTheirInterval(t *testing.T) {
	const window, multiplier = 8, 3
	f := newFixture(t)
	for range 10 {
		f.append("s", events(10)...)
	}
	f.append("s", typed("wanted"))
	all := f.readAll(esdb.ReadAllOptions{})
	w := f.followAll(esdb.SubscribeToAllOptions{
		From: esdb.Start{}, MaxSearchWindow: window, CheckpointInterval: multiplier,
		Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"wanted"}},
	})
	got, checkpoints := w.catchUp()
	if len(got) != 1 {
		t.Errorf("received %d events, want 1", len(got))
	}
	var want []esdb.Position
	for i := window * multiplier; i <= len(all); i += window * multiplier {
		want = append(want, all[i-1].Event.Position)
	}
	want = append(want, all[len(all)-1].Event.Position) // before it caught up
	if diff := cmp.Diff(want, checkpoints); diff != "" {
		t.Errorf("checkpoints (-want +got):\n%s", diff)
	}
	for range window * multiplier { // live too
		f.append("s", events(1)...)
	}
	for {
		if message := w.next(); message.CheckPointReached != nil {
			if last := want[len(want)-1]; message.CheckPointReached.Commit <= last.Commit {
				t.Errorf("checkpoint %v follows %v", message.CheckPointReached, last)
			}
			return
		}
	}
}

func TestSubscribingFromACheckpointMissesNothing(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(100)...)
	filter := &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"wanted"}}
	_, checkpoints := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter}).catchUp()
	wanted := typed("wanted")
	f.append("s", wanted)
	for _, checkpoint := range checkpoints {
		w := f.followAll(esdb.SubscribeToAllOptions{From: checkpoint, Filter: filter})
		if diff := cmp.Diff([]uuid.UUID{wanted.EventID}, idsOf(w.events(1))); diff != "" {
			t.Errorf("from %v (-want +got):\n%s", checkpoint, diff)
		}
	}
}

func TestTheCheckpointAtTheEndIsKnownEvenWhenNothingIsNew(t *testing.T) {
	f := newFixture(t)
	written := f.append("s", events(1)...)
	w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.End{}, Filter: esdb.ExcludeSystemEventsFilter()})
	_, checkpoints := w.catchUp()
	want := []esdb.Position{{Commit: written.CommitPosition, Prepare: written.PreparePosition}}
	if diff := cmp.Diff(want, checkpoints); diff != "" {
		t.Errorf("checkpoints (-want +got):\n%s", diff)
	}
}

func TestFiltersThatAreRefused(t *testing.T) {
	f := newFixture(t)
	cases := map[string]esdb.SubscribeToAllOptions{
		"malformed pattern": {Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "("}},
	}
	for name, options := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := f.client.SubscribeToAll(f.ctx, options); err == nil {
				t.Error("the subscription was confirmed")
			}
		})
	}
}

// A slow consumer is one that does not read while much is written: more than
// all buffers on the way hold. It then receives everything, in order, and is
// told again that it has caught up.
func TestASlowConsumerMissesNothing(t *testing.T) {
	const batches, size = 30, 50
	f := newFixture(t)
	w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	w.catchUp()
	var want []uuid.UUID
	for i := range batches {
		batch := events(size)
		for j := range batch {
			batch[j].Data = make([]byte, 10<<10)
		}
		f.append(fmt.Sprintf("s%d", i%3), batch...)
		want = append(want, idsSent(batch)...)
	}
	got, _ := w.catchUp() // fails when nothing says that it is live again
	if diff := cmp.Diff(want, idsOf(got)); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

// A filter that chooses little is followed over more than one page of events
// that are only considered.
func TestAFilterThatChoosesLittle(t *testing.T) {
	const unwanted = 20_000
	f := newFixture(t)
	for i := 0; i < unwanted; i += 1000 {
		f.append("s", events(1000)...)
	}
	wanted := typed("wanted")
	f.append("s", wanted)
	w := f.followAll(esdb.SubscribeToAllOptions{
		From: esdb.Start{}, MaxSearchWindow: 10 * unwanted,
		Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"wanted"}},
	})
	got, checkpoints := w.catchUp()
	if diff := cmp.Diff([]uuid.UUID{wanted.EventID}, idsOf(got)); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if len(checkpoints) != 1 || checkpoints[0] != got[0].Event.Position {
		t.Errorf("checkpoints %v, want one at the last event", checkpoints)
	}
}
