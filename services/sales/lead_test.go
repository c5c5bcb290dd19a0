package sales_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
)

// issue plays a campaign that issues leads, all in one append.
func (w *world) issue(leads ...*marketingv1.LeadIssued) {
	w.t.Helper()
	messages := make([]proto.Message, len(leads))
	for i, l := range leads {
		messages[i] = l
	}
	w.tell(flows.Marketing, "campaign-run-1", messages...)
}

func mailing(id string, priority uint32) *marketingv1.LeadIssued {
	return &marketingv1.LeadIssued{
		LeadId: id, CampaignId: "spring", RunId: "1", CustomerId: "customer of " + id, PropositionId: "p",
		Channel: journeyv1.Channel_CHANNEL_EMAIL, Content: "Hello", Priority: priority,
	}
}

// grant plays the e-mail channel, which grants capacity around now.
func (w *world) grant(interval string, capacity uint32) {
	w.t.Helper()
	w.tell(flows.Channel, "capacity-email:"+interval, &channelv1.CapacityGranted{
		Channel: journeyv1.Channel_CHANNEL_EMAIL, Interval: interval, Capacity: capacity,
		StartsAt: timestamppb.New(time.Now().Add(-time.Hour)), EndsAt: timestamppb.New(time.Now().Add(time.Hour)),
	})
}

func (w *world) lead(id string) *salesv1.Lead {
	w.t.Helper()
	response, err := w.client.GetLead(w.t.Context(), &salesv1.GetLeadRequest{LeadId: id})
	w.must(err)
	return response.GetLead()
}

func (w *world) withLeadsInRealTime() *world {
	w.t.Helper()
	w.set("outbound-leads", flows.RealTime)
	w.set("channel-capacity", flows.RealTime)
	return w
}

func TestALeadIsFollowedToItsEnd(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.issue(mailing("l1", 1))
	w.awaitTypes("lead-l1", "LeadAccepted")
	w.grant("2026-11-21T14", 5)
	w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered")
	w.awaitTypes("grant-email:2026-11-21T14", "CapacitySpent")
	ordered := w.read("lead-l1")[1]
	dispatch, ok := ordered.Message.(*salesv1.DispatchOrdered)
	if !ok || dispatch.GetMessageId() == "" || dispatch.GetGrant() != "email:2026-11-21T14" || dispatch.GetContent() != "Hello" {
		t.Errorf("dispatched %v", dispatch)
	}
	if ordered.Metadata.CorrelationID != "call of campaign-run-1" {
		t.Errorf("the dispatch is in correlation %q", ordered.Metadata.CorrelationID)
	}
	w.tell(flows.Channel, "message-1", &channelv1.MessageSent{MessageId: dispatch.GetMessageId(), LeadId: "l1", CustomerId: "customer of l1"})
	w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered", "LeadStatusChanged")
	w.tell(flows.Marketing, "lead-response-l1", &marketingv1.LeadResponseRecorded{
		LeadId: "l1", CustomerId: "customer of l1", Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Answer: journeyv1.Answer_ANSWER_ACCEPTED,
	})
	w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered", "LeadStatusChanged", "LeadStatusChanged")
	want := &salesv1.Lead{
		LeadId: "l1", CampaignId: "spring", CustomerId: "customer of l1", PropositionId: "p", Channel: journeyv1.Channel_CHANNEL_EMAIL,
		Status: salesv1.LeadStatus_LEAD_STATUS_CONVERTED, Detail: "accepted, through call centre",
	}
	if diff := cmp.Diff(want, w.lead("l1"), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	w.await("the table shows it", func() bool {
		return w.count("lead", "status = ?", int32(salesv1.LeadStatus_LEAD_STATUS_CONVERTED)) == 1
	})
	list, err := w.client.ListLeads(t.Context(), &salesv1.ListLeadsRequest{CustomerId: "customer of l1"})
	w.must(err)
	if diff := cmp.Diff([]*salesv1.Lead{want}, list.GetLeads(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	_, err = w.client.GetLead(t.Context(), &salesv1.GetLeadRequest{LeadId: "l9"})
	wantCode(t, err, codes.NotFound)
}

func TestWhatDoesNotFitIsDeferredAndNeverLost(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.grant("a", 2)
	w.await("the grant is there", func() bool { return w.count("capacity_grant", "true") == 1 })
	w.set("outbound-leads", flows.Daily)
	w.issue(mailing("l1", 1), mailing("l2", 9), mailing("l3", 5), mailing("l4", 1), mailing("l5", 1))
	steering, err := control.New(w.log)
	w.must(err)
	_, err = steering.RunWindow(t.Context(), "outbound-leads", "test", "for the test")
	w.must(err)
	w.await("two are dispatched", func() bool { return len(w.everything("sales.DispatchOrdered")) == 2 })
	if diff := cmp.Diff([]string{"l2", "l3"}, w.dispatched()); diff != "" {
		t.Errorf("the grant went to (-want +got):\n%s", diff)
	}
	w.grant("b", 100)
	w.await("all are dispatched", func() bool { return len(w.everything("sales.DispatchOrdered")) == 5 })
	if diff := cmp.Diff([]string{"l1", "l2", "l3", "l4", "l5"}, w.dispatched()); diff != "" {
		t.Errorf("dispatched (-want +got):\n%s", diff)
	}
	if got := len(w.read("grant-email:a")); got != 2 {
		t.Errorf("%d were spent of a grant of 2", got)
	}
}

// dispatched returns the leads that were dispatched, sorted.
func (w *world) dispatched() (ids []string) {
	for _, e := range w.everything("sales.DispatchOrdered") {
		if m, ok := e.Message.(*salesv1.DispatchOrdered); ok {
			ids = append(ids, m.GetLeadId())
		}
	}
	slices.Sort(ids)
	return ids
}

// Marketing issues hundreds of leads at once, which come in several batches: the
// best must get the capacity, wherever in the batches they stand.
func TestAWindowsLeadsArePlannedAtOnce(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.grant("a", 3)
	w.await("the grant is there", func() bool { return w.count("capacity_grant", "true") == 1 })
	w.set("outbound-leads", flows.Daily)
	var leads []*marketingv1.LeadIssued
	for i := range 200 {
		leads = append(leads, mailing(fmt.Sprintf("l%03d", i), uint32(i)))
	}
	w.issue(leads...)
	steering, err := control.New(w.log)
	w.must(err)
	_, err = steering.RunWindow(t.Context(), "outbound-leads", "test", "for the test")
	w.must(err)
	w.await("three are dispatched", func() bool { return len(w.everything("sales.DispatchOrdered")) == 3 })
	if diff := cmp.Diff([]string{"l197", "l198", "l199"}, w.dispatched()); diff != "" {
		t.Errorf("the grant went to (-want +got):\n%s", diff)
	}
}

// The planner dies between spending capacity and dispatching, or before either.
func TestADispatchThatDiedHalfwayIsCompletedOnce(t *testing.T) {
	for name, stream := range map[string]string{"before it spends": "grant-email:a", "after it spent": "lead-l1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start().withLeadsInRealTime()
			w.issue(mailing("l1", 1))
			w.awaitTypes("lead-l1", "LeadAccepted")
			fault := func(appended string) error {
				if appended == stream {
					return fmt.Errorf("the store refuses %s", stream)
				}
				return nil
			}
			w.refuse.Store(&fault)
			w.grant("a", 1)
			w.await("readiness shows it", func() bool { ok, _ := w.ready(); return !ok })
			w.stop()
			w.refuse.Store(nil)
			w.start()
			w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered")
			w.awaitTypes("grant-email:a", "CapacitySpent")
		})
	}
}

func TestWhatBecameOfALeadIsRecordedWhateverTheOrder(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.tell(flows.Marketing, "lead-response-l1", &marketingv1.LeadResponseRecorded{LeadId: "l1", CustomerId: "customer of l1", Answer: journeyv1.Answer_ANSWER_REJECTED})
	w.awaitTypes("lead-l1", "LeadStatusChanged")
	w.issue(mailing("l1", 1), mailing("l2", 1))
	w.grant("a", 5)
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered")
	w.tell(flows.Channel, "message-2", &channelv1.MessageRefused{MessageId: "m", LeadId: "l2", Reason: "consent was withdrawn"})
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered", "LeadStatusChanged")
	w.await("the first is not dispatched, as its answer came before it", func() bool {
		return slices.Equal(w.types("lead-l1"), []string{"LeadStatusChanged", "LeadAccepted"}) &&
			w.count("lead", "lead_id = 'l1' AND status = ? AND campaign_id = 'spring'", int32(salesv1.LeadStatus_LEAD_STATUS_CLOSED)) == 1
	})
	if got := w.lead("l2"); got.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_FAILED || got.GetDetail() != "consent was withdrawn" {
		t.Errorf("the second is %v", got)
	}
	if diff := cmp.Diff([]string{"l2"}, w.dispatched()); diff != "" {
		t.Errorf("dispatched (-want +got):\n%s", diff)
	}
}

func TestTotalsHoldUpToATime(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.register("N1", ann)
	for i := range 20 {
		_, err := w.order(fmt.Sprint("N", i%4), fmt.Sprint("o", i), 100)
		w.must(err)
	}
	w.submit("r1", "customer")
	w.awaitTypes("request-r1", "RequestOpened", "RequestStatusChanged")
	w.issue(mailing("l1", 1))
	w.awaitTypes("lead-l1", "LeadAccepted")
	done := time.Now()
	totals := func(source string) (got *salesv1.GetTotalsResponse) {
		w.await("the totals have come so far", func() bool {
			var err error
			got, err = w.client.GetTotals(t.Context(), &salesv1.GetTotalsRequest{Source: source})
			w.must(err)
			return !got.GetAsOf().AsTime().Before(done)
		})
		got.AsOf = nil
		return got
	}
	want := map[string]*salesv1.GetTotalsResponse{
		"":       {Customers: 4, Orders: 20, SpentCents: 2000, Requests: 1, Leads: 1},
		"import": {Customers: 1, Requests: 1, Leads: 1},
		"shop":   {Customers: 3, Orders: 20, SpentCents: 2000, Requests: 1, Leads: 1},
	}
	for source, want := range want {
		if diff := cmp.Diff(want, totals(source), protocmp.Transform()); diff != "" {
			t.Errorf("%q: %s", source, diff)
		}
	}
}
