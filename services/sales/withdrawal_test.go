package sales_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// withdraw plays marketing, which withdraws leads as their campaign was stopped.
func (w *world) withdraw(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.tell(flows.Marketing, "campaign-run-1", &marketingv1.LeadWithdrawn{
			LeadId: id, CampaignId: "spring", CustomerId: "customer of " + id,
			Reason: marketingv1.WithdrawalReason_WITHDRAWAL_REASON_CAMPAIGN_STOPPED,
		})
	}
}

// LM-2, MA-6: what waits for capacity when its campaign is stopped ends, takes nothing
// of the next grant, and the report tells so. What was dispatched goes on.
func TestScenarioMA6ALeadThatWaitsIsWithdrawn(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.issue(mailing("l1", 9), mailing("l2", 1), mailing("l3", 1))
	w.awaitTypes("lead-l3", "LeadAccepted")
	w.grant("a", 1)
	w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered")
	w.withdraw("l1", "l2")
	w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered", "LeadWithdrawalMissed")
	w.awaitTypes("lead-l2", "LeadAccepted", "LeadStatusChanged")
	if got := w.lead("l2"); got.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_WITHDRAWN || got.GetDetail() != "its campaign was stopped" {
		t.Errorf("the lead that waited is %v", got)
	}
	w.grant("b", 1)
	w.awaitTypes("lead-l3", "LeadAccepted", "DispatchOrdered")
	w.tell(flows.Channel, "message-1", &channelv1.MessageSent{MessageId: "m", LeadId: "l1", CustomerId: "customer of l1"})
	w.awaitTypes("lead-l1", "LeadAccepted", "DispatchOrdered", "LeadWithdrawalMissed", "LeadStatusChanged")
	w.awaitProcess("lead", map[string][2]uint64{
		"issued": {3, 0}, "accepted": {3, 0}, "withdrawn": {1, 1}, "dispatched": {2, 1}, "sent": {1, 1},
	})
	if diff := cmp.Diff([]string{"l1", "l3"}, w.dispatched()); diff != "" {
		t.Errorf("dispatched (-want +got):\n%s", diff)
	}
}

// A withdrawal is answered once, whenever the process ends: before its answer is in the
// log, or after it.
func TestScenarioMA6AWithdrawalSurvivesACrash(t *testing.T) {
	for name, tc := range map[string]struct {
		hook func(*world, *func(string) error)
		seen func(*world) bool
	}{
		"before the answer": {
			func(w *world, f *func(string) error) { w.refuse.Store(f) },
			func(w *world) bool { ok, _ := w.ready(); return !ok },
		},
		"after the answer": {
			func(w *world, f *func(string) error) { w.lose.Store(f) },
			func(w *world) bool { return len(w.read("lead-l1")) == 2 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start().withLeadsInRealTime()
			w.issue(mailing("l1", 1), mailing("l2", 1))
			w.awaitTypes("lead-l2", "LeadAccepted")
			fault := func(stream string) error {
				if stream == "lead-l1" {
					return errors.New("the store is away")
				}
				return nil
			}
			tc.hook(w, &fault)
			w.withdraw("l1")
			w.await("the fault is met", func() bool { return tc.seen(w) })
			w.stop()
			w.refuse.Store(nil)
			w.lose.Store(nil)
			w.start()
			w.awaitTypes("lead-l1", "LeadAccepted", "LeadStatusChanged")
			w.grant("a", 1)
			w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered")
			w.awaitTypes("grant-email:a", "CapacitySpent")
		})
	}
}

// The planner dies between spending capacity and dispatching; then the lead is
// withdrawn: that is what the log holds when the next one starts. The capacity goes to
// the lead that waits.
func TestScenarioMA6WhatWasSpentForALeadThatIsWithdrawnIsGivenBack(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.issue(mailing("l1", 9), mailing("l2", 1))
	w.awaitTypes("lead-l2", "LeadAccepted")
	fault := func(stream string) error {
		if stream == "lead-l1" {
			return errors.New("the store refuses")
		}
		return nil
	}
	w.refuse.Store(&fault)
	w.grant("a", 1)
	w.awaitTypes("grant-email:a", "CapacitySpent")
	w.await("readiness shows it", func() bool { ok, _ := w.ready(); return !ok })
	w.stop()
	w.refuse.Store(nil)
	w.tell(flows.Sales, "lead-l1", &salesv1.LeadStatusChanged{LeadId: "l1", CustomerId: "customer of l1", Status: salesv1.LeadStatus_LEAD_STATUS_WITHDRAWN})
	w.start()
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered")
	w.awaitTypes("grant-email:a", "CapacitySpent", "CapacityReturned", "CapacitySpent")
	if diff := cmp.Diff([]string{"l2"}, w.dispatched()); diff != "" {
		t.Errorf("dispatched (-want +got):\n%s", diff)
	}
}

// MA-6: the flow keeps the order of a lead and its withdrawal. A lead that could not be
// taken in, and is left out, holds its withdrawal back; should the lead be told of
// once more after it, it is taken over and never dispatched.
func TestScenarioMA6AWithdrawalMayComeBeforeItsLead(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	w.withdraw("l1")
	w.awaitTypes("lead-l1", "LeadStatusChanged")
	w.issue(mailing("l1", 9), mailing("l2", 1))
	w.grant("a", 2)
	w.awaitTypes("lead-l2", "LeadAccepted", "DispatchOrdered")
	w.awaitTypes("lead-l1", "LeadStatusChanged", "LeadAccepted")
	if diff := cmp.Diff([]string{"l2"}, w.dispatched()); diff != "" {
		t.Errorf("dispatched (-want +got):\n%s", diff)
	}
	if got := w.lead("l1"); got.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_WITHDRAWN || got.GetCampaignId() != "spring" {
		t.Errorf("the lead is %v", got)
	}
}
