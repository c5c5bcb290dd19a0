package eventstore_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	persistentpb "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestUpdateDropsConsumersAndGoesOn(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(4)...)
	g.create(esdb.Start{})
	s := g.join(2)
	s.ack(s.take(2)...)
	g.until("acks", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.TotalItems == 2 })
	g.update(esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) {
		s.MaxRetryCount, s.ConsumerStrategyName = 3, esdb.ConsumerStrategyPinned
	})
	if err := s.dropped(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	if got := g.info().Settings; got.MaxRetryCount != 3 || got.ConsumerStrategyName != esdb.ConsumerStrategyPinned {
		t.Errorf("the settings are %+v", got)
	}
	if diff := cmp.Diff([]uint64{2, 3}, g.join(2).revisions(2)); diff != "" {
		t.Errorf("revisions after the update (-want +got):\n%s", diff)
	}
}

func TestAnUpdateMovesTheStartOfAGroupThatHasProcessedNothing(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(4)...)
	g.create(esdb.End{})
	g.update(esdb.Revision(2))
	if diff := cmp.Diff([]uint64{2, 3}, g.join(2).revisions(2)); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestADeletedGroupLeavesNothingToItsNextNamesake(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(3)...)
	for range 3 {
		g.create(esdb.Start{}, atOnce)
		g.untilParked(0)
		s := g.join(3)
		all := s.take(3)
		s.nack(esdb.NackActionPark, all[0])
		s.ack(all[1:]...)
		g.untilCheckpointed(2)
		g.untilParked(1)
		g.must(g.tryDelete())
		if err := s.dropped(); status.Code(err) != codes.Canceled {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestRestartingTheSubsystemDropsConsumersAndGoesOn(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(2)...)
	g.create(esdb.Start{})
	s := g.join(1)
	s.ack(s.take(1)...)
	s.take(1)
	g.must(g.client.RestartPersistentSubscriptionSubsystem(g.ctx, esdb.RestartPersistentSubscriptionSubsystemOptions{}))
	if err := s.dropped(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	if diff := cmp.Diff([]uint64{1}, g.join(1).revisions(1)); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestGroupsSurviveAStop(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(4)...)
	g.create(esdb.Start{}) // checkpoints are far off: the stop writes one
	s := g.join(2)
	s.ack(s.take(2)...)
	g.until("acks", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.TotalItems == 2 })
	g.restart()
	if err := s.dropped(); status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v", err)
	}
	if diff := cmp.Diff([]uint64{2, 3}, g.join(2).revisions(2)); diff != "" {
		t.Errorf("revisions after the restart (-want +got):\n%s", diff)
	}
}

func TestGroupsSurviveAKill(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(2)...)
	g.create(esdb.End{}, atOnce) // an end that does not move
	g.append("s", events(3)...)
	g.store.Kill()
	g.restart()
	s := g.join(1)
	s.ack(s.take(1)...)
	g.untilCheckpointed(2)
	s.take(1)
	g.store.Kill()
	g.restart()
	if diff := cmp.Diff([]uint64{3, 4}, g.join(2).revisions(2)); diff != "" {
		t.Errorf("revisions after the kill (-want +got):\n%s", diff)
	}
}

// Whenever the store is killed, every event is processed in the end, the
// parked ones included, and after the last kill none comes that was known to
// be processed by a checkpoint.
func TestNothingIsLostOverKills(t *testing.T) {
	const n, kills = 200, 6
	rng := rand.New(rand.NewPCG(1, 2))
	g := newGroup(t)
	g.append("s", events(n)...)
	g.create(esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) {
		s.CheckpointLowerBound, s.CheckpointUpperBound, s.CheckpointAfter = 1, 5, 10
	})
	processed := map[uint64]bool{}
	for range kills {
		s := g.join(8)
		if at := g.info().Stats.LastCheckpointedEventRevision; at != nil {
			if first := s.next().Event; first.Event.EventNumber <= *at {
				t.Errorf("revision %d comes although the checkpoint is at %d", first.Event.EventNumber, *at)
			} else {
				s.ack(first)
				processed[first.Event.EventNumber] = true
			}
		}
		for range rng.IntN(n / kills) {
			e := s.next().Event
			if rng.IntN(4) == 0 {
				s.nack(esdb.NackActionPark, e)
				continue
			}
			s.ack(e)
			processed[e.Event.EventNumber] = true
		}
		g.store.Kill()
		g.restart()
	}
	g.replay(0)
	for s := g.join(8); len(processed) < n; {
		e := s.next().Event
		s.ack(e)
		processed[e.Event.EventNumber] = true
	}
}

func TestAGroupEndsWithItsStream(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(1)...)
	g.create(esdb.Start{})
	s := g.join(1)
	s.take(1)
	g.tombstone("s")
	if err := s.dropped(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("ended with %v", err)
	}
}

func TestWhatIsTrueOfAGroup(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(10)...)
	g.create(esdb.Revision(1), atOnce, func(s *esdb.PersistentSubscriptionSettings) {
		s.HistoryBufferSize, s.ReadBatchSize, s.LiveBufferSize, s.ExtraStatistics = 4, 2, 3, true
	})
	before := g.info()
	if before.EventSource != "s" || before.GroupName != "workers" || before.Settings.StartFrom != esdb.Revision(1) {
		t.Errorf("it is %+v with %+v", before, before.Settings)
	}
	if at := before.Stats.LastKnownEventRevision; at == nil || *at != 9 || before.Stats.LastCheckpointedEventRevision != nil {
		t.Errorf("before: %+v", before.Stats)
	}
	s := g.join(2)
	two := s.take(2)
	g.until("a full buffer", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.ReadBufferCount == 4 })
	s.ack(two[0])
	s.nack(esdb.NackActionPark, two[1])
	g.untilCheckpointed(2)
	info := g.info()
	if info.Status != "Behind" || info.Stats.TotalItems != 1 || info.Stats.ParkedMessagesCount != 1 || info.Stats.OutstandingMessagesCount != 2 {
		t.Errorf("%s, %+v", info.Status, info.Stats)
	}
	if len(info.Connections) != 1 {
		t.Fatalf("%d connections", len(info.Connections))
	}
	c := info.Connections[0]
	if len(c.ExtraStatistics) == 0 || c.From == "" || c.TotalItemsProcessed != 1 || c.InFlightMessages != 2 || c.AvailableSlots != 0 {
		t.Errorf("the connection is %+v", c)
	}
	for range 7 {
		s.ack(s.next().Event)
	}
	g.until("the end", func(i *esdb.PersistentSubscriptionInfo) bool {
		return i.Status == "Live" && i.Stats.TotalInFlightMessages == 0
	})
	g.must(s.sub.Close())
	g.until("nobody", func(i *esdb.PersistentSubscriptionInfo) bool { return len(i.Connections) == 0 })
}

func TestWhereAGroupStartsIsToldAsItWasAsked(t *testing.T) {
	g := newGroup(t)
	for name, from := range map[string]esdb.StreamPosition{"start": esdb.Start{}, "end": esdb.End{}, "revision": esdb.Revision(math.MaxInt64 - 1)} {
		g.name = name
		g.create(from)
		if got := g.info().Settings.StartFrom; got != from {
			t.Errorf("%v is told as %v", from, got)
		}
	}
	g.stream, g.name = "", "position"
	at := esdb.Position{Commit: 7, Prepare: 7}
	g.createAll(at, nil)
	if got, ok := g.info().Settings.StartFrom.(*esdb.Position); !ok || *got != at {
		t.Errorf("%v is told as %v", at, g.info().Settings.StartFrom)
	}
}

// Clients send the longest time that they know for "never".
func TestTheLongestTimeout(t *testing.T) {
	g := newGroup(t)
	g.append("s", events(1)...)
	_, err := persistentpb.NewPersistentSubscriptionsClient(g.raw()).Create(g.ctx, rawCreate("s", g.name, func(s *persistentpb.CreateReq_Settings) {
		s.MessageTimeout = &persistentpb.CreateReq_Settings_MessageTimeoutTicks{MessageTimeoutTicks: math.MaxInt64}
	}))
	g.must(err)
	s := g.join(1)
	s.next()
	if info := g.info(); info.Settings.MessageTimeout != math.MaxInt32 || info.Stats.TotalInFlightMessages != 1 {
		t.Errorf("%+v, %+v", info.Settings, info.Stats)
	}
}

func TestGroupsAreListed(t *testing.T) {
	g := newAllGroup(t)
	list := func(infos []esdb.PersistentSubscriptionInfo, err error) (names []string) {
		t.Helper()
		g.must(err)
		for _, i := range infos {
			names = append(names, i.EventSource+" "+i.GroupName)
		}
		slices.Sort(names)
		return names
	}
	options := esdb.ListPersistentSubscriptionsOptions{}
	if got := list(g.client.ListAllPersistentSubscriptions(g.ctx, options)); len(got) > 0 {
		t.Errorf("there are %v", got)
	}
	g.createAll(esdb.Start{}, nil)
	for _, stream := range []string{"s", "t"} {
		g.stream = stream
		g.create(esdb.Start{})
	}
	if diff := cmp.Diff([]string{"$all workers", "s workers", "t workers"}, list(g.client.ListAllPersistentSubscriptions(g.ctx, options))); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"s workers"}, list(g.client.ListPersistentSubscriptionsForStream(g.ctx, "s", options))); diff != "" {
		t.Errorf("of a stream (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"$all workers"}, list(g.client.ListPersistentSubscriptionsToAll(g.ctx, options))); diff != "" {
		t.Errorf("of $all (-want +got):\n%s", diff)
	}
	_, err := g.client.ListPersistentSubscriptionsForStream(g.ctx, "nothing", options)
	g.wantCode(err, esdb.ErrorCodeResourceNotFound)
}

func rawCreate(stream, name string, change func(*persistentpb.CreateReq_Settings)) *persistentpb.CreateReq {
	s := &persistentpb.CreateReq_Settings{
		MaxRetryCount: 1, MaxCheckpointCount: 1, LiveBufferSize: 10, ReadBatchSize: 10, HistoryBufferSize: 10,
		ConsumerStrategy: "RoundRobin",
	}
	change(s)
	return &persistentpb.CreateReq{Options: &persistentpb.CreateReq_Options{
		StreamOption: &persistentpb.CreateReq_Options_Stream{Stream: &persistentpb.CreateReq_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
			RevisionOption:   &persistentpb.CreateReq_StreamOptions_Start{Start: &shared.Empty{}},
		}},
		GroupName: name, Settings: s,
	}}
}

func TestEventsArePinnedByTheirCorrelation(t *testing.T) {
	const correlations, each = 10, 6
	g := newGroup(t)
	_, err := persistentpb.NewPersistentSubscriptionsClient(g.raw()).Create(g.ctx, rawCreate("s", g.name, func(s *persistentpb.CreateReq_Settings) { s.ConsumerStrategy = "PinnedByCorrelation" }))
	g.must(err)
	consumers := []*subscriber{g.join(100), g.join(100), g.join(100)}
	for i := range correlations * each {
		e := typed("test.Happened")
		e.Metadata = fmt.Appendf(nil, `{"$correlationId":"c%d"}`, i%correlations)
		g.append("s", e)
	}
	g.until("all to be in flight", func(i *esdb.PersistentSubscriptionInfo) bool {
		return i.Stats.TotalInFlightMessages == correlations*each
	})
	seen, busy := map[string]bool{}, 0
	for i, connection := range g.info().Connections {
		mine := map[string]bool{}
		for _, e := range consumers[i].take(int(connection.InFlightMessages)) {
			mine[string(e.Event.UserMetadata)] = true
		}
		for correlation := range mine {
			if seen[correlation] {
				t.Errorf("%s went to two consumers", correlation)
			}
			seen[correlation] = true
		}
		if len(mine) > 0 {
			busy++
		}
	}
	if len(seen) != correlations || busy < 2 {
		t.Errorf("%d correlations went to %d consumers", len(seen), busy)
	}
}

// Clients tell these errors by their codes and trailers.
func TestErrorsOfGroups(t *testing.T) {
	g := newGroup(t)
	g.create(esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MaxSubscriberCount = 1 })
	g.join(1)
	raw := persistentpb.NewPersistentSubscriptionsClient(g.raw())
	named := &shared.StreamIdentifier{StreamName: []byte("s")}
	read := func(group string, size int32) func(...grpc.CallOption) error {
		return func(options ...grpc.CallOption) error {
			call, err := raw.Read(g.ctx, options...)
			g.must(err)
			g.must(call.Send(&persistentpb.ReadReq{Content: &persistentpb.ReadReq_Options_{Options: &persistentpb.ReadReq_Options{
				StreamOption: &persistentpb.ReadReq_Options_StreamIdentifier{StreamIdentifier: named}, GroupName: group, BufferSize: size,
			}}}))
			_, err = call.Recv()
			return err
		}
	}
	create := func(stream, group string, change func(*persistentpb.CreateReq_Settings)) func(...grpc.CallOption) error {
		return func(options ...grpc.CallOption) error {
			_, err := raw.Create(g.ctx, rawCreate(stream, group, change), options...)
			return err
		}
	}
	plain := func(*persistentpb.CreateReq_Settings) {}
	cases := map[string]struct {
		call      func(...grpc.CallOption) error
		code      codes.Code
		exception string // with the stream's and the group's name, unless it is empty
		group     string
	}{
		"read of no group":   {read("none", 1), codes.NotFound, "persistent-subscription-does-not-exist", "none"},
		"one consumer more":  {read(g.name, 1), codes.FailedPrecondition, "maximum-subscribers-reached", g.name},
		"no buffer":          {read(g.name, 0), codes.InvalidArgument, "", ""},
		"created twice":      {create("s", g.name, plain), codes.AlreadyExists, "persistent-subscription-exists", g.name},
		"no name":            {create("s", "", plain), codes.InvalidArgument, "", ""},
		"no stream":          {create("", "g", plain), codes.InvalidArgument, "", ""},
		"unknown strategy":   {create("s", "g", func(s *persistentpb.CreateReq_Settings) { s.ConsumerStrategy = "Best" }), codes.InvalidArgument, "", ""},
		"a batch of nothing": {create("s", "g", func(s *persistentpb.CreateReq_Settings) { s.ReadBatchSize = 0 }), codes.InvalidArgument, "", ""},
		"a buffer below a batch": {
			create("s", "g", func(s *persistentpb.CreateReq_Settings) { s.HistoryBufferSize = 9 }), codes.InvalidArgument, "", "",
		},
		"time-out below 0": {create("s", "g", func(s *persistentpb.CreateReq_Settings) {
			s.MessageTimeout = &persistentpb.CreateReq_Settings_MessageTimeoutTicks{MessageTimeoutTicks: -1}
		}), codes.InvalidArgument, "", ""},
		"replay below 0": {func(options ...grpc.CallOption) error {
			_, err := raw.ReplayParked(g.ctx, &persistentpb.ReplayParkedReq{Options: &persistentpb.ReplayParkedReq_Options{
				GroupName: g.name, StreamOption: &persistentpb.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: named},
				StopAtOption: &persistentpb.ReplayParkedReq_Options_StopAt{StopAt: -1},
			}}, options...)
			return err
		}, codes.InvalidArgument, "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var trailer metadata.MD
			err := tc.call(grpc.Trailer(&trailer))
			if status.Code(err) != tc.code {
				t.Fatalf("failed with %v", err)
			}
			if tc.exception == "" {
				return
			}
			want := metadata.Pairs("exception", tc.exception, "stream-name", "s", "group-name", tc.group)
			trailer.Delete("content-type")
			if diff := cmp.Diff(want, trailer); diff != "" {
				t.Errorf("trailer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGroupsThatAreNotThere(t *testing.T) {
	g := newGroup(t)
	options := esdb.PersistentStreamSubscriptionOptions{Settings: settings()}
	g.wantCode(g.tryDelete(), esdb.ErrorCodeResourceNotFound)
	g.wantCode(g.client.UpdatePersistentSubscription(g.ctx, "s", "g", options), esdb.ErrorCodeResourceNotFound)
	g.wantCode(g.client.ReplayParkedMessages(g.ctx, "s", "g", esdb.ReplayParkedMessagesOptions{}), esdb.ErrorCodeResourceNotFound)
	_, err := g.tryJoin(1)
	g.wantCode(err, esdb.ErrorCodeResourceNotFound)
	_, err = g.client.GetPersistentSubscriptionInfo(g.ctx, "s", "g", esdb.GetPersistentSubscriptionOptions{})
	g.wantCode(err, esdb.ErrorCodeResourceNotFound)
}

// The streams of two groups can come to the same name: then only one of them
// can be there.
func TestGroupsWhoseNamesRunTogether(t *testing.T) {
	g := newGroup(t)
	g.stream, g.name = "a::b", "c"
	g.create(esdb.Start{})
	g.stream, g.name = "a", "b::c"
	g.wantCode(g.tryCreate(esdb.Start{}, settings()), esdb.ErrorCodeResourceAlreadyExists)
	_, err := g.tryJoin(1)
	g.wantCode(err, esdb.ErrorCodeResourceNotFound)
}
