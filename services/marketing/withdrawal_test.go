package marketing_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// withdrawn lists the customers whose leads of a run are withdrawn.
func (w *world) withdrawn(run string) (customers []string) {
	w.t.Helper()
	for _, e := range w.read("campaign-run-" + run) {
		if m, ok := e.Message.(*marketingv1.LeadWithdrawn); ok {
			customers = append(customers, m.GetCustomerId())
		}
	}
	return customers
}

// MA-6: a campaign is stopped after it has issued leads, of which one is known to be
// sent. The others are withdrawn in one append, because of the stop, and that is done
// also by a process that starts only later.
func TestScenarioMA6AStoppedCampaignWithdrawsWhatIsNotKnownToBeSent(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	campaign := autumn()
	campaign.MaxLeads = 3
	w.defineCampaign("define", campaign)
	w.spend(map[string]int64{"anna": 9000, "bert": 8000, "carol": 7000})
	run := w.run("monday")
	lead := run.GetLeadIds()[1]
	sent := w.produce("message-1", "sent", &channelv1.MessageSent{MessageId: "m", LeadId: lead, CustomerId: "bert", Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE})
	w.answerTo("lead-response-"+lead, sent)
	if _, err := w.api.StopCampaign(keyed("stop"), &marketingv1.StopCampaignRequest{CampaignId: "autumn"}); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.await("the withdrawal", func() bool { return len(w.withdrawn(run.GetRunId())) > 0 })
	if diff := cmp.Diff([]string{"anna", "carol"}, w.withdrawn(run.GetRunId())); diff != "" {
		t.Errorf("withdrawn (-want +got):\n%s", diff)
	}
	events := w.read("campaign-run-" + run.GetRunId())
	stops := w.read("campaign-autumn")
	if last, stop := events[len(events)-1], stops[len(stops)-1]; last.Metadata.CausationID != stop.ID.String() || last.Metadata.CorrelationID != stop.Metadata.CorrelationID {
		t.Errorf("the withdrawal is told to come of %s in %s, want %s in %s",
			last.Metadata.CausationID, last.Metadata.CorrelationID, stop.ID, stop.Metadata.CorrelationID)
	}
	w.await("the list", func() bool {
		resp, err := w.api.ListRuns(t.Context(), &marketingv1.ListRunsRequest{CampaignId: "autumn"})
		return err == nil && len(resp.GetRuns()) == 1 && resp.GetRuns()[0].GetWithdrawn() == 2
	})
}

// MA-6: a customer's leads are told with their places, and with the cap that left none.
func TestScenarioMA6ACustomersLeadsAreListedWithTheirPlaces(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	_, err := w.api.ConfigureLeadCaps(keyed("caps"), &marketingv1.ConfigureLeadCapsRequest{LeadCaps: &marketingv1.LeadCaps{Caps: []*marketingv1.LeadCap{{Hours: 24, Most: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	w.defineCampaign("define", autumn())
	w.spend(map[string]int64{"anna": 9000})
	first := w.run("monday")
	list := func() []*marketingv1.LeadPlace {
		resp, err := w.api.ListLeadPlaces(t.Context(), &marketingv1.ListLeadPlacesRequest{CustomerId: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetLeads()
	}
	leads := list()
	if len(leads) != 1 || leads[0].GetState() != marketingv1.PlaceState_PLACE_STATE_TAKEN || leads[0].GetLeadId() != first.GetLeadIds()[0] ||
		leads[0].GetCampaignId() != "autumn" || leads[0].GetRunId() != first.GetRunId() || leads[0].GetPriority() != 7 {
		t.Errorf("anna's leads are %v", leads)
	}
	w.produce("places-anna", "refused", &marketingv1.LeadPlaceRefused{
		LeadId: "l2", CustomerId: "anna", CampaignId: "winter", RunId: "r2", Cap: &marketingv1.LeadCap{Hours: 24, Most: 1}, At: timestamppb.Now(),
	})
	if leads = list(); len(leads) != 2 || leads[0].GetState() != marketingv1.PlaceState_PLACE_STATE_REFUSED || leads[0].GetCap().GetHours() != 24 {
		t.Errorf("with one that was refused, anna's leads are %v", leads)
	}
	resp, err := http.Get(w.rest + "/v1/customers/anna/leads")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	var body struct{ Leads []struct{ State string } }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || len(body.Leads) != 2 || body.Leads[1].State != "PLACE_STATE_TAKEN" {
		t.Errorf("over REST: %v (%v)", body, err)
	}
	empty, err := w.api.ListLeadPlaces(t.Context(), &marketingv1.ListLeadPlacesRequest{CustomerId: "nobody"})
	if err != nil || len(empty.GetLeads()) != 0 {
		t.Errorf("the leads of nobody are %v (%v)", empty, err)
	}
	if _, err := w.api.ListLeadPlaces(t.Context(), &marketingv1.ListLeadPlacesRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a customer: %v", err)
	}
}
