package eventstore_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAGroupOnAStreamBegins(t *testing.T) {
	cases := map[string]struct {
		from esdb.StreamPosition
		want []uint64 // of 3 events before it and 2 after
	}{
		"at the start":                 {esdb.Start{}, []uint64{0, 1, 2, 3, 4}},
		"with a revision":              {esdb.Revision(1), []uint64{1, 2, 3, 4}},
		"with what is still to come":   {esdb.Revision(4), []uint64{4}},
		"at the end":                   {esdb.End{}, []uint64{3, 4}},
		"at the end, which is default": {nil, []uint64{3, 4}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			g.append("s", events(3)...)
			g.create(tc.from)
			g.append("other", events(2)...)
			g.append("s", events(2)...)
			if diff := cmp.Diff(tc.want, g.join(10).revisions(len(tc.want))); diff != "" {
				t.Errorf("revisions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAGroupOnAllBegins(t *testing.T) {
	cases := map[string]struct {
		from func(second esdb.Position) esdb.AllPosition
		want int // of 3 events before it, this many
	}{
		"at the start":    {func(esdb.Position) esdb.AllPosition { return esdb.Start{} }, 3},
		"with a position": {func(second esdb.Position) esdb.AllPosition { return second }, 2},
		"at the end":      {func(esdb.Position) esdb.AllPosition { return esdb.End{} }, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := newAllGroup(t)
			sent := events(5)
			g.append("s", sent[:3]...)
			g.createAll(tc.from(g.readAll(esdb.ReadAllOptions{})[1].Event.Position), nil)
			g.append("t", sent[3:]...)
			want := idsSent(sent[3-tc.want:])
			if diff := cmp.Diff(want, idsOf(g.join(10).take(len(want)))); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

// What groups write themselves is in $all too. A group that took it in would
// write checkpoints about checkpoints for ever.
func TestAGroupOnAllPassesOverWhatGroupsWrite(t *testing.T) {
	g := newAllGroup(t)
	g.createAll(esdb.Start{}, nil, atOnce)
	s := g.join(10)
	for i := range 5 {
		sent := g.append("s", events(1)...)
		got := s.next()
		if got.Event.Event.StreamID != "s" || got.Event.Event.Position.Commit != sent.CommitPosition {
			t.Fatalf("event %d: received %s of %s", i, got.Event.Event.EventType, got.Event.Event.StreamID)
		}
		if i%2 == 0 {
			s.nack(esdb.NackActionPark, got.Event)
		} else {
			s.ack(got.Event)
		}
		g.until("a checkpoint", func(i *esdb.PersistentSubscriptionInfo) bool {
			at := i.Stats.LastCheckpointedPosition
			return at != nil && at.Commit >= sent.CommitPosition
		})
	}
	if got := len(g.read("$persistentsubscription-$all::workers-checkpoint", esdb.ReadStreamOptions{})); got != 2 {
		t.Errorf("%d checkpoints are kept, want 2", got)
	}
}

func TestAGroupOnAllFilters(t *testing.T) {
	cases := map[string]struct {
		filter esdb.SubscriptionFilter
		want   []string
	}{
		"by type prefix":    {esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"a."}}, []string{"s a.Done", "t a.Done"}},
		"by type pattern":   {esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "^b"}, []string{"s b.Done", "t b.Done"}},
		"by stream prefix":  {esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"t"}}, []string{"t a.Done", "t b.Done"}},
		"by stream pattern": {esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: "s$"}, []string{"s a.Done", "s b.Done"}},
	}
	g := newAllGroup(t)
	for _, stream := range []string{"s", "t"} {
		g.append(stream, typed("a.Done"), typed("b.Done"))
	}
	for name, tc := range cases {
		g.name = name
		g.createAll(esdb.Start{}, &tc.filter)
		if diff := cmp.Diff(tc.want, namesOf(g.join(10).take(2))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A filter that chooses little still moves the checkpoint.
func TestWhatAFilterLeavesOutIsCheckpointed(t *testing.T) {
	g := newAllGroup(t)
	g.createAll(esdb.Start{}, &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"wanted"}}, atOnce)
	g.join(1)
	sent := g.append("s", events(500)...)
	g.until("a checkpoint", func(i *esdb.PersistentSubscriptionInfo) bool {
		at := i.Stats.LastCheckpointedPosition
		return at != nil && at.Commit == sent.CommitPosition
	})
}

func TestNoMoreIsInFlightThanAConsumerAskedFor(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(10)...)
	g.create(esdb.Start{})
	s := g.join(3)
	first := s.take(3)
	for i, want := range []int{7, 6, 5} {
		g.until("the rest to wait", func(i *esdb.PersistentSubscriptionInfo) bool {
			return i.Stats.TotalInFlightMessages == 3 && i.Stats.LiveBufferCount == int64(want)
		})
		s.ack(first[i])
		s.take(1)
	}
}

func TestWhatANackDoes(t *testing.T) {
	cases := map[string]struct {
		action      esdb.NackAction
		again       bool
		wantsParked int64
	}{
		"unknown": {esdb.NackActionUnknown, true, 0},
		"retry":   {esdb.NackActionRetry, true, 0},
		"park":    {esdb.NackActionPark, false, 1},
		"skip":    {esdb.NackActionSkip, false, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			g.append("s", events(2)...)
			g.create(esdb.Start{}, atOnce)
			s := g.join(1)
			first := s.next()
			s.nack(tc.action, first.Event)
			second := s.next()
			if again := second.Event.Event.EventNumber == 0; again != tc.again || again && second.RetryCount != 1 {
				t.Errorf("then came revision %d, retried %d times", second.Event.Event.EventNumber, second.RetryCount)
			}
			s.ack(second.Event)
			if tc.again {
				s.ack(s.next().Event)
			}
			g.untilCheckpointed(1)
			g.untilParked(tc.wantsParked)
		})
	}
}

func TestNackStopEndsTheConsumerAndOthersGoOn(t *testing.T) {
	g := newGroup(t)
	g.create(esdb.Start{})
	stopped := g.join(1)
	g.append("s", events(1)...)
	stopped.nack(esdb.NackActionStop, stopped.next().Event)
	if err := stopped.dropped(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	if got := g.join(1).next(); got.Event.Event.EventNumber != 0 || got.RetryCount != 1 {
		t.Errorf("received revision %d, retried %d times", got.Event.Event.EventNumber, got.RetryCount)
	}
}

func TestAParkedEventIsALinkWithItsReason(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(3)...)
	g.create(esdb.Revision(2))
	s := g.join(1)
	s.nack(esdb.NackActionPark, s.next().Event)
	g.untilParked(1)
	parked := g.read("$persistentsubscription-s::workers-parked", esdb.ReadStreamOptions{})[0].Event
	if got, want := parked.EventType+" "+string(parked.Data), "$> 2@s"; got != want {
		t.Errorf("parked is %q, want %q", got, want)
	}
	var metadata struct {
		Added  time.Time
		Reason string
		Number int `json:"subscriptionEventNumber"`
	}
	g.must(json.Unmarshal(parked.UserMetadata, &metadata))
	if metadata.Reason != "because" || metadata.Number != 2 || metadata.Added.IsZero() {
		t.Errorf("its metadata is %s", parked.UserMetadata)
	}
}

func TestAnEventThatIsRetriedTooOftenIsParked(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(2)...)
	g.create(esdb.Start{}, retries(2))
	s := g.join(1)
	for want := range 3 {
		got := s.next()
		if got.RetryCount != want || got.Event.Event.EventNumber != 0 {
			t.Fatalf("received revision %d, retried %d times, want %d", got.Event.Event.EventNumber, got.RetryCount, want)
		}
		s.nack(esdb.NackActionRetry, got.Event)
	}
	if got := s.next(); got.Event.Event.EventNumber != 1 {
		t.Errorf("then came revision %d", got.Event.Event.EventNumber)
	}
	g.untilParked(1)
}

func TestAnEventWithoutAnAnswerIsDeliveredAgain(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(1)...)
	g.create(esdb.Start{}, within(50*time.Millisecond), retries(2))
	s := g.join(5)
	for want := range 3 {
		if got := s.next(); got.RetryCount != want {
			t.Fatalf("retried %d times, want %d", got.RetryCount, want)
		}
	}
	g.untilParked(1)
}

func TestWhatWasInFlightToAConsumerThatLeavesGoesToAnother(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(3)...)
	g.create(esdb.Start{})
	leaving, staying := g.join(2), g.join(3)
	leaving.take(2) // 0 and 1: it came first
	g.must(leaving.sub.Close())
	if diff := cmp.Diff([]uint64{0, 1, 2}, staying.revisions(3)); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestAReplayDeliversParkedEventsOnceMore(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(4)...)
	g.create(esdb.Start{}, atOnce)
	s := g.join(4)
	s.nack(esdb.NackActionPark, s.take(4)...)
	g.untilParked(4)

	g.replay(3)
	again := s.take(3)
	for i, e := range again {
		if e.Event.EventNumber != uint64(i) || e.Event.StreamID != "s" || e.Link == nil || e.Link.EventNumber != uint64(i) {
			t.Errorf("replay %d: %d of %s over %+v", i, e.Event.EventNumber, e.Event.StreamID, e.Link)
		}
	}
	g.untilParked(1)
	// One of them is not processed: what follows it in the parked stream stays.
	s.ack(again[0], again[2])
	g.untilVisible("$persistentsubscription-s::workers-parked", 1, 2, 3)
	s.nack(esdb.NackActionPark, again[1])
	g.untilVisible("$persistentsubscription-s::workers-parked", 3, 4)

	g.replay(0)
	s.ack(s.take(2)...)
	g.untilVisible("$persistentsubscription-s::workers-parked")
}

// untilVisible waits for a read of the stream to give these revisions.
func (g *group) untilVisible(stream string, want ...uint64) {
	g.Helper()
	for got := []uint64{0}; !slices.Equal(got, want); got = g.revisions(stream) {
		if g.ctx.Err() != nil {
			g.Fatalf("%s holds %v, want %v", stream, got, want)
		}
	}
}

func TestAReplayThatIsCutShortLosesNothing(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(2)...)
	g.create(esdb.Start{}, atOnce)
	s := g.join(4)
	s.nack(esdb.NackActionPark, s.take(2)...)
	g.untilParked(2)
	g.replay(0)
	s.take(2)
	g.store.Kill()
	g.restart()
	g.untilParked(2)
	g.replay(0)
	if diff := cmp.Diff([]uint64{0, 1}, g.join(2).revisions(2)); diff != "" {
		t.Errorf("replayed after the restart (-want +got):\n%s", diff)
	}
}

func TestLinksAreResolvedOnRequest(t *testing.T) {
	for _, resolve := range []bool{false, true} {
		t.Run(fmt.Sprint(resolve), func(t *testing.T) {
			g := newGroup(t)
			g.append("target", events(1)...)
			link := typed("$>")
			link.Data = []byte("0@target")
			broken := typed("$>")
			broken.Data = []byte("7@target")
			g.append("s", link, broken)
			g.create(esdb.Start{}, atOnce, func(s *esdb.PersistentSubscriptionSettings) { s.ResolveLinkTos = resolve })
			s := g.join(2)
			got := s.take(2)
			switch {
			case !resolve && (got[0].Link != nil || got[0].Event.EventID != link.EventID):
				t.Errorf("received %+v", got[0])
			case resolve && (got[0].Link.EventID != link.EventID || got[0].Event.StreamID != "target"):
				t.Errorf("received %+v", got[0])
			case resolve && (got[1].Link.EventID != broken.EventID || got[1].Event != nil):
				t.Errorf("received %+v", got[1])
			}
			s.ack(got...) // names the links
			g.untilCheckpointed(1)
		})
	}
}

func TestConsumersShareByStrategy(t *testing.T) {
	const n = 40
	cases := map[string]struct {
		strategy esdb.ConsumerStrategy
		first    int // what the first of two consumers gets, of n that both have room for
	}{
		"round robin":        {esdb.ConsumerStrategyRoundRobin, n / 2},
		"dispatch to single": {esdb.ConsumerStrategyDispatchToSingle, n},
		"pinned":             {esdb.ConsumerStrategyPinned, -1}, // either: it is one stream
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			g.create(esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = tc.strategy })
			g.join(n)
			g.join(n)
			g.append("s", events(n)...)
			g.until("all to be in flight", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.TotalInFlightMessages == n })
			connections := g.info().Connections
			first, second := int(connections[0].InFlightMessages), int(connections[1].InFlightMessages)
			if tc.first < 0 && first != 0 && first != n || tc.first >= 0 && first != tc.first || first+second != n {
				t.Errorf("%d and %d events went to the consumers", first, second)
			}
		})
	}
}

func TestAPinnedStreamStaysWithItsConsumer(t *testing.T) {
	const streams, each = 20, 5
	g := newAllGroup(t)
	g.createAll(esdb.Start{}, nil, func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = esdb.ConsumerStrategyPinned })
	var mu sync.Mutex
	var group sync.WaitGroup
	owners, total := map[string][]int{}, 0
	for i := range 3 {
		s := g.join(4)
		group.Go(func() {
			for message := s.sub.Recv(); message.EventAppeared != nil; message = s.sub.Recv() {
				mu.Lock()
				stream := message.EventAppeared.Event.Event.StreamID
				owners[stream] = append(owners[stream], i)
				total++
				mu.Unlock()
				_ = s.sub.Ack(message.EventAppeared.Event) // fails when the test is over
			}
		})
	}
	for i := range streams * each {
		g.append(fmt.Sprintf("s%d", i%streams), events(1)...)
	}
	g.until("the end", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.TotalItems == streams*each })
	g.must(g.client.DeletePersistentSubscriptionToAll(g.ctx, g.name, esdb.DeletePersistentSubscriptionOptions{}))
	group.Wait()
	busy := map[int]bool{}
	for stream, by := range owners {
		busy[by[0]] = true
		if len(slices.Compact(by)) != 1 {
			t.Errorf("%s went to consumers %v", stream, by)
		}
	}
	if len(owners) != streams || total != streams*each || len(busy) < 2 {
		t.Errorf("%d streams, %d events, %d consumers", len(owners), total, len(busy))
	}
}

// Consumers who now and then want an event again process each one once.
func TestManyConsumersShareAStream(t *testing.T) {
	const n, consumers = 2000, 4
	g := newGroup(t)
	g.create(esdb.Start{}, retries(100))
	var mu sync.Mutex
	processed := map[uint64]int{}
	var group sync.WaitGroup
	for range consumers {
		s := g.join(20)
		group.Go(func() {
			for i := 0; ; i++ {
				message := s.sub.Recv()
				if message.EventAppeared == nil {
					return
				}
				event := message.EventAppeared.Event
				revision := event.Event.EventNumber
				if i%7 == 0 {
					_ = s.sub.Nack("again", esdb.NackActionRetry, event) // fails when the test is over
					continue
				}
				mu.Lock()
				processed[revision]++
				mu.Unlock()
				_ = s.sub.Ack(event)
			}
		})
	}
	for range n / 100 {
		g.append("s", events(100)...)
	}
	g.until("the end", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.TotalItems == n })
	g.must(g.tryDelete())
	group.Wait()
	for revision := range uint64(n) {
		if processed[revision] != 1 {
			t.Errorf("revision %d was processed %d times", revision, processed[revision])
		}
	}
}
