package eventstore_test

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
)

func linkTo(target string) esdb.EventData {
	e := typed("$>")
	e.Data = []byte(target)
	return e
}

func TestReadsOfNoEvents(t *testing.T) {
	r := newFixture(t).rawStreams()
	_, _, err := r.append(appendTo("s"), propose(nil))
	r.must(err)
	none := func(o *streams.ReadReq_Options) { o.CountOption = &streams.ReadReq_Options_Count{} }
	cases := map[string]struct {
		request *streams.ReadReq
		missing bool
	}{
		"$all":              {readOf(none), false},
		"$all, backwards":   {readOf(func(o *streams.ReadReq_Options) { none(o); fromTheEnd(o) }), false},
		"$all, by a filter": {readOf(func(o *streams.ReadReq_Options) { none(o); filtered(o, "", "t") }), false},
		"a stream":          {readOf(func(o *streams.ReadReq_Options) { none(o); ofStream(o, "s") }), false},
		"a missing stream":  {readOf(func(o *streams.ReadReq_Options) { none(o); ofStream(o, "none") }), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			messages, _, err := r.read(tc.request)
			r.must(err)
			if tc.missing {
				if len(messages) != 1 || messages[0].GetStreamNotFound() == nil {
					t.Errorf("read %v, want that there is no stream", messages)
				}
			} else if len(messages) > 0 {
				t.Errorf("read %v, want nothing", messages)
			}
		})
	}
}

// Links stand in $all as well, and are resolved there and in what follows it.
func TestLinksInAll(t *testing.T) {
	f := newFixture(t)
	target := events(1)
	f.append("s", target...)
	f.append("links", linkTo("0@s"), linkTo("7@s"))
	check := func(got []*esdb.ResolvedEvent) {
		t.Helper()
		if len(got) != 3 || got[0].Link != nil || got[1].Link == nil || got[2].Link == nil {
			t.Fatalf("received %+v", got)
		}
		if e := got[1].Event; e == nil || e.EventID != target[0].EventID || e.StreamID != "s" {
			t.Errorf("the link was resolved to %+v", e)
		}
		if e := got[2]; e.Event != nil || string(e.Link.Data) != "7@s" || e.OriginalEvent().StreamID != "links" {
			t.Errorf("the link to nothing came as %+v", e)
		}
		if got[1].Commit == nil || *got[1].Commit != got[1].Link.Position.Commit {
			t.Errorf("the position is %v, the link's is %v", got[1].Commit, got[1].Link.Position)
		}
	}
	check(f.readAll(esdb.ReadAllOptions{ResolveLinkTos: true}))
	check(reverse(f.readAll(esdb.ReadAllOptions{ResolveLinkTos: true, Direction: esdb.Backwards, From: esdb.End{}})))
	check(f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}, ResolveLinkTos: true}).events(3))
	for _, e := range f.readAll(esdb.ReadAllOptions{}) {
		if e.Link != nil {
			t.Error("a link was resolved that should be read as it is")
		}
	}
}

// A filter looks at the link, not at what it stands for.
func TestAFilterLooksAtLinksThemselves(t *testing.T) {
	f := newFixture(t)
	f.append("s", typed("wanted"))
	f.append("links", linkTo("0@s"))
	w := f.followAll(esdb.SubscribeToAllOptions{
		From: esdb.Start{}, ResolveLinkTos: true,
		Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"wanted"}},
	})
	if got, _ := w.catchUp(); len(got) != 1 || got[0].Link != nil {
		t.Errorf("received %+v", got)
	}
}

// Open subscriptions to a stream end with it, and say why; those to $all see
// the tombstone.
func TestHowSubscriptionsEndWithTheirStream(t *testing.T) {
	r := newFixture(t).rawStreams()
	_, _, err := r.append(appendTo("s"), propose(nil))
	r.must(err)
	request := readOf(func(o *streams.ReadReq_Options) { live(o); ofStream(o, "s") })
	call, err := r.client.Read(r.ctx, request)
	r.must(err)
	_, err = call.Recv()
	r.must(err)
	all := r.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	_, err = r.tombstone("s", empty)
	r.must(err)
	for err == nil {
		_, err = call.Recv()
	}
	ended := refusal{codes.FailedPrecondition, "Event stream 's' is deleted.", []string{"exception", "stream-deleted", "stream-name", "s"}}
	ended.check(t, call.Trailer(), err)
	messages, trailer, err := r.read(request) // and so does a new one
	ended.check(t, trailer, err)
	if len(messages) == 0 || messages[0].GetConfirmation() == nil {
		t.Errorf("it began with %v, want a confirmation", messages)
	}
	if last := all.events(2)[1].Event; last.EventType != "$streamDeleted" || last.StreamID != "s" {
		t.Errorf("$all ends with %+v", last)
	}
}

// A stream whose metadata was written by hand, wrong in part, stays deleted.
func TestMalformedMetadataBringsNothingBack(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(3)...)
	f.softDelete("s")
	malformed := typed("$metadata")
	malformed.Data = []byte(`{"$maxCount":"many","$maxAge":[],"owner":"sales"}`)
	f.append("$$s", malformed)
	if got := f.revisions("s"); len(got) > 0 {
		t.Errorf("revisions %v came back", got)
	}
	f.append("s", events(1)...)
	if diff := cmp.Diff([]uint64{3}, f.revisions("s")); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

// The window is what the reader says, and the checkpoints that it asks for are
// never behind one another, nor behind the events.
func TestCheckpointsNeverGoBack(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(50)...)
	f.append("s", typed("wanted"))
	f.append("s", events(50)...)
	w := f.followAll(esdb.SubscribeToAllOptions{
		From: esdb.Start{}, MaxSearchWindow: 1, CheckpointInterval: 1,
		Filter: &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"wanted"}},
	})
	var last uint64
	for checkpoints := 0; ; {
		switch message := w.next(); {
		case message.EventAppeared != nil:
			if at := message.EventAppeared.Event.Position.Commit; at <= last {
				t.Fatalf("an event at %d follows the checkpoint %d", at, last)
			}
		case message.CheckPointReached != nil:
			if at := message.CheckPointReached.Commit; at <= last {
				t.Fatalf("the checkpoint %d follows %d", at, last)
			}
			last = message.CheckPointReached.Commit
			checkpoints++
		case message.CaughtUp != nil:
			if checkpoints != 101 {
				t.Errorf("%d checkpoints came of 101 events", checkpoints)
			}
			return
		}
	}
}
