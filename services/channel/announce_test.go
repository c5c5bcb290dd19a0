package channel_test

import (
	"context"
	"slices"
	"testing"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
)

// An image says what it reads and writes before it serves, beside one that does:
// its database and its keys are in use, and not there where it runs.
func TestAnImageAnnouncesItselfBeforeItServes(t *testing.T) {
	store := eventstoretest.Start(t)
	steered, err := control.Connect(store.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := steered.Close(); err != nil {
			t.Error(err)
		}
	})
	announce := func(image string) {
		t.Helper()
		settings := channel.Settings{Common: config.Common{
			EventStore: config.StoreURL(store.ConnectionString()), Database: "/nowhere/channel.db", Keys: "/nowhere/keys.db", Image: image,
		}}
		err := host.Announce(t.Context(), config.Channel, &settings, func(ctx context.Context, parts host.Parts) (host.Application, error) {
			return channel.New(ctx, parts, settings)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	announce("registry/channel:1")
	announce("registry/channel:1") // a Job that is tried again
	announce("registry/channel:2") // the same build, under another name

	suite, err := steered.Suite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := suite.Of(flows.Channel)
	if len(s.Contracts) != 1 || len(s.Images) != 2 || len(s.Replicas) != 0 {
		t.Fatalf("%d contracts of %d images, %d replicas, want 1, 2 and 0", len(s.Contracts), len(s.Images), len(s.Replicas))
	}
	for _, image := range []string{"registry/channel:1", "registry/channel:2"} {
		c := s.Images[image]
		if !slices.Contains(c.GetReads(), "marketing.v1.NextBestActionsDecided") || !slices.Contains(c.GetWrites(), "channel.v1.ContactStarted") {
			t.Errorf("%s reads %v and writes %v", image, c.GetReads(), c.GetWrites())
		}
	}
	var names []string
	for _, f := range control.Catalogue(suite.Services) {
		names = append(names, f.Name)
	}
	if want := []string{"customer-view", "lead-dispatch", "next-best-actions"}; !slices.Equal(names, want) {
		t.Errorf("it takes in %v, want %v", names, want)
	}
}
