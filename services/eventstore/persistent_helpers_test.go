package eventstore_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// group is a persistent subscription, of a stream or (its stream being empty)
// of $all.
type group struct {
	*fixture
	stream, name string
}

func newGroup(t *testing.T, options ...eventstoretest.Option) *group {
	t.Helper()
	return &group{fixture: newFixture(t, options...), stream: "s", name: "workers"}
}

func newAllGroup(t *testing.T, options ...eventstoretest.Option) *group {
	t.Helper()
	return &group{fixture: newFixture(t, options...), name: "workers"}
}

// settings are the client's defaults with changes.
func settings(changes ...func(*esdb.PersistentSubscriptionSettings)) *esdb.PersistentSubscriptionSettings {
	s := esdb.SubscriptionSettingsDefault()
	for _, change := range changes {
		change(&s)
	}
	return &s
}

// atOnce writes every checkpoint as soon as it can be.
func atOnce(s *esdb.PersistentSubscriptionSettings) {
	s.CheckpointLowerBound, s.CheckpointUpperBound, s.CheckpointAfter = 1, 1, 0
}

func (g *group) tryCreate(from esdb.StreamPosition, s *esdb.PersistentSubscriptionSettings) error {
	return g.client.CreatePersistentSubscription(g.ctx, g.stream, g.name, esdb.PersistentStreamSubscriptionOptions{StartFrom: from, Settings: s})
}

func (g *group) create(from esdb.StreamPosition, changes ...func(*esdb.PersistentSubscriptionSettings)) {
	g.Helper()
	g.must(g.tryCreate(from, settings(changes...)))
}

func (g *group) createAll(from esdb.AllPosition, filter *esdb.SubscriptionFilter, changes ...func(*esdb.PersistentSubscriptionSettings)) {
	g.Helper()
	g.must(g.client.CreatePersistentSubscriptionToAll(g.ctx, g.name, esdb.PersistentAllSubscriptionOptions{
		StartFrom: from, Filter: filter, Settings: settings(changes...),
	}))
}

func (g *group) update(from esdb.StreamPosition, changes ...func(*esdb.PersistentSubscriptionSettings)) {
	g.Helper()
	g.must(g.client.UpdatePersistentSubscription(g.ctx, g.stream, g.name, esdb.PersistentStreamSubscriptionOptions{
		StartFrom: from, Settings: settings(changes...),
	}))
}

func (g *group) tryDelete() error {
	return g.client.DeletePersistentSubscription(g.ctx, g.stream, g.name, esdb.DeletePersistentSubscriptionOptions{})
}

func (g *group) replay(stopAt int) {
	g.Helper()
	options := esdb.ReplayParkedMessagesOptions{StopAt: stopAt}
	if g.stream == "" {
		g.must(g.client.ReplayParkedMessagesToAll(g.ctx, g.name, options))
		return
	}
	g.must(g.client.ReplayParkedMessages(g.ctx, g.stream, g.name, options))
}

func (g *group) info() *esdb.PersistentSubscriptionInfo {
	g.Helper()
	var info *esdb.PersistentSubscriptionInfo
	var err error
	if g.stream == "" {
		info, err = g.client.GetPersistentSubscriptionInfoToAll(g.ctx, g.name, esdb.GetPersistentSubscriptionOptions{})
	} else {
		info, err = g.client.GetPersistentSubscriptionInfo(g.ctx, g.stream, g.name, esdb.GetPersistentSubscriptionOptions{})
	}
	g.must(err)
	return info
}

// until waits for the group to be as told.
func (g *group) until(what string, reached func(*esdb.PersistentSubscriptionInfo) bool) {
	g.Helper()
	for !reached(g.info()) {
		if g.ctx.Err() != nil {
			g.Fatalf("waiting for %s: %+v", what, *g.info().Stats)
		}
		runtime.Gosched()
	}
}

func (g *group) untilParked(n int64) {
	g.Helper()
	g.until("parked events", func(i *esdb.PersistentSubscriptionInfo) bool { return i.Stats.ParkedMessagesCount == n })
}

func (g *group) untilCheckpointed(revision uint64) {
	g.Helper()
	g.until("a checkpoint", func(i *esdb.PersistentSubscriptionInfo) bool {
		at := i.Stats.LastCheckpointedEventRevision
		return at != nil && *at == revision
	})
}

// subscriber is a consumer of a group.
type subscriber struct {
	g   *group
	sub *esdb.PersistentSubscription
}

func (g *group) tryJoin(buffer uint32) (*esdb.PersistentSubscription, error) {
	options := esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer}
	if g.stream == "" {
		return g.client.SubscribeToPersistentSubscriptionToAll(g.ctx, g.name, options)
	}
	return g.client.SubscribeToPersistentSubscription(g.ctx, g.stream, g.name, options)
}

func (g *group) join(buffer uint32) *subscriber {
	g.Helper()
	sub, err := g.tryJoin(buffer)
	g.must(err)
	g.Cleanup(func() { _ = sub.Close() })
	return &subscriber{g, sub}
}

// next is the next event.
func (s *subscriber) next() *esdb.EventAppeared {
	s.g.Helper()
	message := s.sub.Recv()
	if message.EventAppeared == nil {
		s.g.Fatalf("the subscription ended: %v", message.SubscriptionDropped.Error)
	}
	return message.EventAppeared
}

func (s *subscriber) take(n int) (all []*esdb.ResolvedEvent) {
	s.g.Helper()
	for range n {
		all = append(all, s.next().Event)
	}
	return all
}

// revisions are those of the next n events, which are acknowledged.
func (s *subscriber) revisions(n int) []uint64 {
	s.g.Helper()
	all := s.take(n)
	s.ack(all...)
	revisions := revisionsOf(all)
	slices.Sort(revisions)
	return revisions
}

func (s *subscriber) ack(events ...*esdb.ResolvedEvent) {
	s.g.Helper()
	s.g.must(s.sub.Ack(events...))
}

func (s *subscriber) nack(action esdb.NackAction, events ...*esdb.ResolvedEvent) {
	s.g.Helper()
	s.g.must(s.sub.Nack("because", action, events...))
}

// dropped waits for the subscription's end.
func (s *subscriber) dropped() error {
	s.g.Helper()
	for {
		if message := s.sub.Recv(); message.SubscriptionDropped != nil {
			return message.SubscriptionDropped.Error
		}
	}
}

func within(d time.Duration) func(*esdb.PersistentSubscriptionSettings) {
	return func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout = int32(d.Milliseconds()) }
}

func retries(n int32) func(*esdb.PersistentSubscriptionSettings) {
	return func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = n }
}
