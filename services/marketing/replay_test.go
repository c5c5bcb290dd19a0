package marketing_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/postgres"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// replayed makes a decision again, from the log.
func (w *world) replayed(contact, decision string, inputs marketingv1.ReplayInputs) *marketingv1.GetReplayResponse {
	w.t.Helper()
	resp, err := w.api.GetReplay(w.t.Context(), &marketingv1.GetReplayRequest{ContactId: contact, DecisionId: decision, Inputs: inputs})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

const (
	fromLog    = marketingv1.ReplayInputs_REPLAY_INPUTS_LOG
	fromRecord = marketingv1.ReplayInputs_REPLAY_INPUTS_RECORDED
)

// MA-2: what each decision of a journey rested on is what the log comes to, folded
// again up to the positions that the decision recorded, however much has happened
// since; where the tables had something else, the difference is named.
func TestScenarioMA2WhatADecisionRestedOnIsRebuiltFromTheLog(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("mortgage", "home", 9000), sales("savings", "saving", 10000))
	w.defineCampaign("define", autumn())
	w.realTime("request-status")
	w.spend(map[string]int64{"anna": 9000, "bert": 7000})
	causes := w.journey()
	lead := w.run("monday").GetLeadIds()[0]
	sent := w.produce("message-1", "sent", &channelv1.MessageSent{MessageId: "m", LeadId: lead, CustomerId: "anna", Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE})
	w.answerTo("lead-response-"+lead, sent)
	w.settled(causes)
	w.produce("customer-anna", "second order", &salesv1.OrderPlaced{CustomerId: "anna", OrderId: "o2", AmountCents: 100})
	w.await("the order", func() bool { return w.profile("anna").GetOrders() == 2 })
	interest := w.produce("contact-c2", "interest", &channelv1.InterestShown{ContactId: "c2", CustomerId: "anna", Topic: "home"})
	last := w.decided("c2", interest)

	n := 0
	for _, contact := range []string{"c1", "c2"} {
		for _, e := range w.read("decisions-" + contact) {
			d, ok := e.Message.(*marketingv1.NextBestActionsDecided)
			if !ok {
				continue
			}
			n++
			resp := w.replayed(contact, d.GetDecisionId(), fromLog)
			if resp.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME || resp.GetFolded() == 0 {
				t.Errorf("decision %s of %s, from the log: %v", d.GetDecisionId(), contact, resp)
			}
		}
	}
	if n < 6 {
		t.Errorf("%d decisions were made again", n)
	}

	// The tables are not what the log comes to: the decision that rests on them can be
	// made again from what it recorded, and is found out by the log.
	err := w.db.Update(t.Context(), func(tx *projection.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE facts_customer SET orders = 7 WHERE customer_id = 'anna'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wrong := w.decided("c2", w.produce("contact-c2", "more", &channelv1.InterestShown{ContactId: "c2", CustomerId: "anna", Topic: "saving"}))
	if resp := w.replayed("c2", wrong.GetDecisionId(), fromRecord); resp.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME {
		t.Errorf("from what it recorded: %v", resp)
	}
	resp := w.replayed("c2", wrong.GetDecisionId(), fromLog)
	if resp.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_DIFFERS || !strings.HasSuffix(resp.GetDifference(), ": orders: 7 was recorded, 2 comes of the log") {
		t.Errorf("from the log: %v", resp)
	}
	if resp := w.replayed("c2", last.GetDecisionId(), fromLog); resp.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME {
		t.Errorf("the decision before: %v", resp)
	}

	// One of before the positions were recorded can't be rebuilt, and says so.
	old := proto.CloneOf(last)
	old.ContactId, old.DecisionId, old.OwnPosition = "c9", "old", nil
	w.produce("decisions-c9", "old", old)
	if resp := w.replayed("c9", "", fromLog); resp.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_NOT_REBUILT {
		t.Errorf("a decision without positions: %v", resp)
	}
}

// Two replicas rebuild the same decision at the same moment, again and again: none is in
// another's way. What a process left behind that ended under way is gone at the next
// start, and nothing that is in use.
func TestReplicasRebuildTheSameDecisionAtTheSameMoment(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	w.settled(w.journey())
	replicas := []*world{w}
	if postgres.IsURL(w.dbPath) { // a file is one process's
		other := &world{t: t, ring: w.ring, streams: w.streams, flows: w.flows, dbPath: w.dbPath, logger: w.logger}
		other.start()
		defer other.end()
		replicas = append(replicas, other)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			resp, err := replicas[i%len(replicas)].api.GetReplay(context.Background(), &marketingv1.GetReplayRequest{ContactId: "c1", Inputs: fromLog})
			if err != nil || resp.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME {
				t.Errorf("from the log: %v (%v)", resp, err)
			}
		})
	}
	all.Wait()
	left, err := w.db.Scratch(t.Context(), "replay")
	if err != nil {
		t.Fatal(err)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if n, err := w.db.Sweep(t.Context(), "replay"); n != 0 || err != nil {
		t.Errorf("after a start %d are still there (%v)", n, err)
	}
}
