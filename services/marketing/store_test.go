package marketing_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
)

// The whole of it on a real store, which forgets the ids of events at once, stops
// in the middle and comes back.
func TestMarketingOnARealStoreThatStopsInTheMiddle(t *testing.T) {
	store := eventstoretest.Start(t, eventstoretest.OnDisk(), eventstoretest.WithoutIDCache())
	log, err := esdb.Open(store.ConnectionString(), esdb.WithPatience(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, log)
	w.start()
	w.withoutChance()
	w.define(sales("mortgage", "home", 9000), sales("savings", "saving", 10000), helpdesk())
	w.defineCampaign("define", autumn())
	w.spend(map[string]int64{"anna": 9000, "bert": 7000})
	first := w.decided("c1", w.contact("c1", "anna"))
	monday := w.run("monday")

	store.Kill()
	// What needs the store says so; what rests on tables answers.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	away := metadata.AppendToOutgoingContext(ctx, "idempotency-key", "away")
	_, err = w.api.DefineProposition(away, &marketingv1.DefinePropositionRequest{Proposition: sales("car", "car", 100)})
	if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
		t.Errorf("a definition without a store: %v", err)
	}
	if profile := w.profile("anna"); profile.GetOrders() != 1 {
		t.Errorf("without a store the profile is %v", profile)
	}
	asOf := func() time.Time { return w.profile("anna").GetFreshness()[0].GetAsOf().AsTime() }
	w.await("the staleness to show", func() bool { return time.Since(asOf()) > 2*time.Second })

	store.Restart()
	w.await("the store", func() bool { return log.Ping(t.Context()) == nil })
	interest := w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Topic: "home"})
	second := w.decided("c1", interest)
	if diff := cmp.Diff([][]string{{"savings", "mortgage", "helpdesk"}, {"mortgage", "savings", "helpdesk"}}, [][]string{offered(first), offered(second)}); diff != "" {
		t.Errorf("the lists before and after (-want +got):\n%s", diff)
	}
	again := w.run("monday")
	if diff := cmp.Diff(monday.GetLeadIds(), again.GetLeadIds()); diff != "" || again.GetRunId() != monday.GetRunId() {
		t.Errorf("the retry tells of other leads (-first +retry):\n%s", diff)
	}
	if n := len(w.leads(monday.GetRunId())); n != 2 {
		t.Errorf("%d leads, want 2", n)
	}
	w.await("the flows to be well", func() bool { return w.app.Flows.Ready(t.Context()) == nil })

	// The service goes on where it was, too, and so does what was decided.
	w.end()
	missed := w.produce("contact-c1", "missed", &channelv1.BannerClicked{ContactId: "c1", CustomerId: "anna", PropositionId: "savings"})
	w.start()
	w.decided("c1", missed)
	decisions := w.read("decisions-c1")
	if len(decisions) != 3 {
		t.Errorf("%d decisions for 3 causes", len(decisions))
	}
	for _, e := range decisions {
		if err := nba.Verify(e.Message.(*marketingv1.NextBestActionsDecided)); err != nil {
			t.Error(err)
		}
	}
}
