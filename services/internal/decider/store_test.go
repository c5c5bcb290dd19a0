package decider_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// patience bounds a test against a store that is killed at times.
const patience = time.Minute

// A real store is killed in the midst of many commands on few streams. Every
// caller repeats its command until it is answered: each is in its stream once,
// decided on the state at its place, whether the store recognises ids or not.
func TestCommandsInTheMidstOfOutagesAreAnsweredOnce(t *testing.T) {
	for name, options := range map[string][]eventstoretest.Option{
		"with the store's id cache":    {eventstoretest.OnDisk()},
		"without the store's id cache": {eventstoretest.OnDisk(), eventstoretest.WithoutIDCache()},
	} {
		t.Run(name, func(t *testing.T) {
			const callers, each, streams, outages = 4, 12, 2, 2
			store := eventstoretest.Start(t, options...)
			s := storeStreams(t, store.ConnectionString())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			answered := make(chan struct{}, callers*each)
			group, ctx := errgroup.WithContext(ctx)
			for caller := range callers {
				group.Go(func() error {
					for i := range each {
						if err := untilAnswered(ctx, t, s, streamOf(caller%streams), fmt.Sprint(caller, "-", i)); err != nil {
							return err
						}
						answered <- struct{}{}
					}
					return nil
				})
			}
			for range outages {
				await(ctx, answered, callers*each/(outages+1))
				store.Kill()
				store.Restart()
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			for i := range streams {
				checkStream(t, s, streamOf(i), callers/streams*each)
			}
		})
	}
}

func streamOf(n int) string { return fmt.Sprint("contact-c", n) }

func storeStreams(t *testing.T, connectionString string) *decider.Streams {
	t.Helper()
	log, err := esdb.Open(connectionString)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return &decider.Streams{Log: log, Codec: newStreams(t, memory.Options{}).Codec}
}

// untilAnswered sends a command, and sends it again while the store is away.
func untilAnswered(ctx context.Context, t *testing.T, s *decider.Streams, name, topic string) error {
	origin := call(t, topic, "")
	for {
		outcome, err := decider.Handle(ctx, s, origin, name, counting, show(topic))
		if err == nil {
			if got := outcome.Events[0].(*channelv1.InterestShown).GetTopic(); got != topic {
				return fmt.Errorf("%s was answered with %s", topic, got)
			}
			if outcome.Position == (eventlog.Position{}) {
				return fmt.Errorf("the answer to %s has no position", topic)
			}
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, eventlog.ErrUnavailable) {
			return fmt.Errorf("%s: %w", topic, err)
		}
	}
}

func await(ctx context.Context, answered <-chan struct{}, n int) {
	for range n {
		select {
		case <-answered:
		case <-ctx.Done():
			return
		}
	}
}

func checkStream(t *testing.T, s *decider.Streams, name string, want int) {
	t.Helper()
	log := events(t, s, name)
	if len(log) != want {
		t.Errorf("%s has %d events, want %d", name, len(log), want)
	}
	origins := map[string]bool{}
	for i, event := range log {
		if kind := event.Message.(*channelv1.InterestShown).GetKind(); kind != fmt.Sprint(i) {
			t.Errorf("event %d of %s was decided on a state of %s events", i, name, kind)
		}
		if origins[event.Metadata.Origin] {
			t.Errorf("%s has two answers to %s", name, event.Metadata.Origin)
		}
		origins[event.Metadata.Origin] = true
	}
}
