package marketing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// autumn is a campaign by phone among those who spent 50.
func autumn() *marketingv1.Campaign {
	return &marketingv1.Campaign{
		CampaignId: "autumn", Name: "Autumn", PropositionId: "savings", Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE,
		MinOrders: 1, MinSpentCents: 5000, MaxLeads: 2, Priority: 7,
	}
}

func (w *world) defineCampaign(key string, c *marketingv1.Campaign) {
	w.t.Helper()
	if _, err := w.api.DefineCampaign(keyed(key), &marketingv1.DefineCampaignRequest{Campaign: c}); err != nil {
		w.t.Fatal(err)
	}
}

// run runs the campaign autumn under an idempotency key.
func (w *world) run(key string) *marketingv1.RunCampaignResponse {
	w.t.Helper()
	resp, err := w.api.RunCampaign(keyed(key), &marketingv1.RunCampaignRequest{CampaignId: "autumn"})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// leads returns the leads of a run, in order.
func (w *world) leads(run string) []*marketingv1.LeadIssued {
	w.t.Helper()
	var all []*marketingv1.LeadIssued
	for _, e := range w.read("campaign-run-" + run) {
		if lead, ok := e.Message.(*marketingv1.LeadIssued); ok {
			all = append(all, lead)
		}
	}
	return all
}

// spend lets customers spend, in hundredths, and waits until marketing knows.
func (w *world) spend(all map[string]int64) {
	w.t.Helper()
	w.realTime("customer-facts")
	for customer, cents := range all {
		w.produce("customer-"+customer, "order of "+customer, &salesv1.OrderPlaced{CustomerId: customer, OrderId: customer, AmountCents: cents})
	}
	w.await("the orders", func() bool {
		for customer := range all {
			if w.profile(customer).GetOrders() == 0 {
				return false
			}
		}
		return true
	})
}

func TestACampaignApproachesGoodCustomers(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	w.defineCampaign("define", autumn())
	w.realTime("request-status")
	w.spend(map[string]int64{"anna": 9000, "bert": 7000, "carol": 8000, "dirk": 6000, "eve": 4999, "fred": 9999})
	w.produce("customer-fred", "objection", &salesv1.ConsentChanged{CustomerId: "fred", Consent: journeyv1.Consent_CONSENT_WITHDRAWN})
	w.produce("request-r1", "complaint", &salesv1.RequestStatusChanged{
		RequestId: "r1", CustomerId: "carol", Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
	})
	w.produce("request-r2", "question", &salesv1.RequestStatusChanged{
		RequestId: "r2", CustomerId: "bert", Kind: journeyv1.RequestKind_REQUEST_KIND_SERVICE, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
	})
	w.await("complaint and objection", func() bool {
		var consent int
		if err := w.db.QueryRow(t.Context(), `SELECT consent FROM facts_customer WHERE customer_id = 'fred'`).Scan(&consent); err != nil {
			t.Fatal(err)
		}
		return consent == 2 && w.profile("carol").GetOpenComplaints() == 1
	})
	resp := w.run("run 1")
	leads := w.leads(resp.GetRunId())
	var customers, ids []string
	for _, lead := range leads {
		customers, ids = append(customers, lead.GetCustomerId()), append(ids, lead.GetLeadId())
	}
	if diff := cmp.Diff([]string{"anna", "bert"}, customers); diff != "" {
		t.Errorf("leads for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ids, resp.GetLeadIds()); diff != "" {
		t.Errorf("the answer tells of other leads (-issued +told):\n%s", diff)
	}
	if lead := leads[0]; lead.GetContent() != "Say savings" || lead.GetPriority() != 7 || lead.GetChannel() != journeyv1.Channel_CHANNEL_CALL_CENTRE {
		t.Errorf("the lead is %v", lead)
	}
	if diff := cmp.Diff([]string{"contact-events", "customer-facts", "request-status"}, flowsOf(resp.GetFreshness())); diff != "" {
		t.Errorf("the choice rests on (-want +got):\n%s", diff)
	}
}

func TestEachCallHasOneEffectAndOneAnswer(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	w.defineCampaign("define", autumn())
	w.spend(map[string]int64{"anna": 9000})
	first := w.run("monday")
	w.spend(map[string]int64{"bert": 9500}) // would be chosen now
	again := w.run("monday")
	if again.GetRunId() != first.GetRunId() || !slices.Equal(again.GetLeadIds(), first.GetLeadIds()) {
		t.Errorf("the same call again gives another answer:\n%v\n%v", first, again)
	}
	if n := len(w.read("campaign-run-" + first.GetRunId())); n != 3 { // the plan, the run and its lead
		t.Errorf("the run has %d events, want 3", n)
	}
	if next := w.run("tuesday"); next.GetRunId() == first.GetRunId() || len(next.GetLeadIds()) != 2 {
		t.Errorf("another call is another run: %v", next)
	}
	// A retry gets its first answer, whatever has become of the campaign.
	changed := autumn()
	changed.MaxLeads = 1
	w.defineCampaign("change", changed)
	w.defineCampaign("define", autumn()) // the first definition, once more: a retry, no change back
	if got := len(w.run("wednesday").GetLeadIds()); got != 1 {
		t.Errorf("a retry of the first definition undid the second: %d leads", got)
	}
	if retry := w.run("monday"); retry.GetRunId() != first.GetRunId() || !slices.Equal(retry.GetLeadIds(), first.GetLeadIds()) {
		t.Errorf("the retry after a change gives another answer: %v", retry)
	}
	// Under another key the same definition is no news.
	w.defineCampaign("change again", changed)
	if n := len(w.read("campaign-autumn")); n != 2 {
		t.Errorf("the campaign has %d definitions, want 2", n)
	}
	_, err := w.api.RunCampaign(keyed("monday"), &marketingv1.RunCampaignRequest{CampaignId: "winter"})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a key for another request: %v, want FailedPrecondition", err)
	}
}

// The store takes the run, and its answer gets lost, again and again, until the
// service gives up: the run is there whole, and the retry tells of it.
func TestARunWhoseAnswerGotLostIsToldOnRetry(t *testing.T) {
	for name, tc := range map[string]struct{ lost int32 }{
		"once":                       {1},
		"twice":                      {2},
		"until the service gives up": {100},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{}
			w := started(t, f.options())
			w.define(sales("savings", "saving", 10000))
			w.defineCampaign("define", autumn())
			w.spend(map[string]int64{"anna": 9000, "bert": 9500})
			var count atomic.Int32
			lose := func(stream string) error {
				if strings.HasPrefix(stream, "campaign-run-") && count.Add(1) <= tc.lost {
					return errors.New("the connection broke")
				}
				return nil
			}
			f.before.Store(&lose)
			f.after.Store(&lose)
			_, err := w.api.RunCampaign(keyed("monday"), &marketingv1.RunCampaignRequest{CampaignId: "autumn"})
			if tc.lost > 10 && err == nil {
				t.Error("the call succeeds although the store never answers")
			}
			f.before.Store(nil)
			f.after.Store(nil)
			resp := w.run("monday")
			if len(resp.GetLeadIds()) != 2 || len(w.read("campaign-run-"+resp.GetRunId())) != 4 {
				t.Errorf("after the retry: %v and %d events", resp, len(w.read("campaign-run-"+resp.GetRunId())))
			}
		})
	}
}

func TestCampaignsAreRefused(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	unknown, unspoken := autumn(), autumn()
	unknown.PropositionId = "nothing"
	unspoken.Channel = journeyv1.Channel_CHANNEL_PRINT
	for name, campaign := range map[string]*marketingv1.Campaign{"an unknown proposition": unknown, "no content for its channel": unspoken} {
		_, err := w.api.DefineCampaign(keyed(name), &marketingv1.DefineCampaignRequest{Campaign: campaign})
		if status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: %v, want FailedPrecondition", name, err)
		}
	}
	_, err := w.api.RunCampaign(keyed("run"), &marketingv1.RunCampaignRequest{CampaignId: "autumn"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("an unknown campaign: %v, want NotFound", err)
	}
	// The content may be gone when the campaign runs.
	w.defineCampaign("define", autumn())
	p := sales("savings", "saving", 10000)
	p.Contents = p.GetContents()[:1]
	if _, err := w.api.DefineProposition(keyed("no calls"), &marketingv1.DefinePropositionRequest{Proposition: p}); err != nil {
		t.Fatal(err)
	}
	_, err = w.api.RunCampaign(keyed("run"), &marketingv1.RunCampaignRequest{CampaignId: "autumn"})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a campaign without content: %v, want FailedPrecondition", err)
	}
}

func TestARunThatIsTooLargeSaysWhatToDo(t *testing.T) {
	w := started(t, memory.Options{})
	p := sales("savings", "saving", 10000)
	p.Contents[1].Text = strings.Repeat("x", 4000)
	w.define(p)
	c := autumn()
	c.MaxLeads = 300
	w.defineCampaign("define", c)
	w.realTime("customer-facts")
	for i := range 300 {
		w.produce(fmt.Sprint("customer-", i), fmt.Sprint("order ", i), &salesv1.OrderPlaced{CustomerId: fmt.Sprint(i), AmountCents: 9000})
	}
	w.await("300 customers", func() bool {
		var n int
		if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM facts_customer`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 300
	})
	_, err := w.api.RunCampaign(keyed("run"), &marketingv1.RunCampaignRequest{CampaignId: "autumn"})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "max_leads") {
		t.Errorf("a run of 300 long leads: %v", err)
	}
	c.MaxLeads = 150
	w.defineCampaign("fewer", c)
	if n := len(w.run("run").GetLeadIds()); n != 150 {
		t.Errorf("150 leads are %d", n)
	}
}

func TestBadInputNamesEachField(t *testing.T) {
	w := started(t, memory.Options{})
	long := strings.Repeat("x", 201)
	for name, tc := range map[string]struct {
		call func(context.Context) error
		want []string
	}{
		"an empty proposition": {func(ctx context.Context) error {
			_, err := w.api.DefineProposition(ctx, &marketingv1.DefinePropositionRequest{})
			return err
		}, []string{"proposition"}},
		"a proposition of nothing": {func(ctx context.Context) error {
			_, err := w.api.DefineProposition(ctx, &marketingv1.DefinePropositionRequest{Proposition: &marketingv1.Proposition{Lever: -1}})
			return err
		}, []string{
			"proposition.proposition_id", "proposition.name", "proposition.purpose", "proposition.topic",
			"proposition.lever", "proposition.contents",
		}},
		"an empty campaign": {func(ctx context.Context) error {
			_, err := w.api.DefineCampaign(ctx, &marketingv1.DefineCampaignRequest{})
			return err
		}, []string{"campaign"}},
		"a campaign of nothing": {func(ctx context.Context) error {
			_, err := w.api.DefineCampaign(ctx, &marketingv1.DefineCampaignRequest{Campaign: &marketingv1.Campaign{MaxLeads: 501, MinSpentCents: -1}})
			return err
		}, []string{
			"campaign.campaign_id", "campaign.name", "campaign.proposition_id", "campaign.channel",
			"campaign.min_spent_cents", "campaign.max_leads",
		}},
		"a run of nothing": {func(ctx context.Context) error {
			_, err := w.api.RunCampaign(ctx, &marketingv1.RunCampaignRequest{})
			return err
		}, []string{"campaign_id"}},
		"no contact": {func(ctx context.Context) error {
			_, err := w.api.GetDecision(ctx, &marketingv1.GetDecisionRequest{})
			return err
		}, []string{"contact_id"}},
		"a contact that is too long": {func(ctx context.Context) error {
			_, err := w.api.GetDecision(ctx, &marketingv1.GetDecisionRequest{ContactId: long})
			return err
		}, []string{"contact_id"}},
		"no customer": {func(ctx context.Context) error {
			_, err := w.api.GetProfile(ctx, &marketingv1.GetProfileRequest{CustomerId: " "})
			return err
		}, []string{"customer_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.call(keyed(name))
			if status.Code(err) != codes.InvalidArgument {
				t.Fatalf("%v, want InvalidArgument", err)
			}
			if diff := cmp.Diff(tc.want, violated(err)); diff != "" {
				t.Errorf("violated fields (-want +got):\n%s", diff)
			}
		})
	}
}

func violated(err error) []string {
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		}
	}
	return fields
}

func TestPropositionsAreListedAsTheyWereDefinedLast(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000), sales("mortgage", "home", 1))
	changed := sales("mortgage", "home", 2)
	changed.Lever = 1.25
	if _, err := w.api.DefineProposition(keyed("change"), &marketingv1.DefinePropositionRequest{Proposition: changed}); err != nil {
		t.Fatal(err)
	}
	want := []*marketingv1.Proposition{changed, sales("savings", "saving", 10000)}
	want[1].Lever = 1 // as is meant when none is given
	w.await("the change", func() bool {
		resp, err := w.api.ListPropositions(context.Background(), &marketingv1.ListPropositionsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.EqualFunc(resp.GetPropositions(), want, func(a, b *marketingv1.Proposition) bool { return proto.Equal(a, b) })
	})
}
