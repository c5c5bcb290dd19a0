package nba

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// The gates that campaigns ask of all customers at once are those that a decision
// asks of one.
func TestTheGatesOfCampaignsAreThoseOfDecisions(t *testing.T) {
	w := newTables(t)
	passed, shut := 0, map[marketingv1.Gate]int{}
	rapid.Check(t, func(rt *rapid.T) {
		w.empty()
		offers := []*marketingv1.PropositionDefined{
			{PropositionId: "sold", Purpose: marketingv1.Purpose_PURPOSE_SALES}, {PropositionId: "given", Purpose: marketingv1.Purpose_PURPOSE_SERVICE},
		}
		w.take(offers[0], offers[1], &marketingv1.LeadIssued{LeadId: "lead", PropositionId: "sold"}, &marketingv1.ArbitrationConfigured{
			Arbitration: &marketingv1.Arbitration{Limits: []*marketingv1.ContactLimit{{
				Channel: journeyv1.Channel_CHANNEL_EMAIL, Hours: 2, Most: rapid.Uint32Range(0, 4).Draw(rt, "most"),
			}}},
		})
		customers := []string{"anna", "bert"}
		for i := range rapid.IntRange(0, 12).Draw(rt, "events") {
			w.take(approached(rt, i, rapid.SampledFrom(customers).Draw(rt, "customer")))
		}
		for _, c := range customers {
			w.take(&channelv1.ContactStarted{ContactId: "now of " + c, CustomerId: c, Channel: journeyv1.Channel_CHANNEL_EMAIL})
			features := w.gather("now of "+c, c).features
			for i, o := range byID(features.Propositions) {
				of := offers[slices.IndexFunc(offers, func(p *marketingv1.PropositionDefined) bool { return p.GetPropositionId() == o.ID })]
				o.HasContent, o.RejectedHere = true, false // what only a contact can tell
				failed := current.failed(features, o)
				where, args, err := Approachable(t.Context(), w.db, of, journeyv1.Channel_CHANNEL_EMAIL, w.now)
				if err != nil {
					rt.Fatal(err)
				}
				var pass bool
				err = w.db.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM (SELECT CAST(? AS TEXT) AS customer_id) c WHERE `+where+`)`,
					append([]any{c}, args...)...).Scan(&pass)
				if err != nil {
					rt.Fatal(err)
				}
				if pass != (len(failed) == 0) {
					rt.Errorf("proposition %d for %s passes: %t, but fails %v", i, c, pass, failed)
				}
				if pass {
					passed++
				}
				for _, g := range failed {
					shut[g]++
				}
			}
		}
	})
	if passed == 0 || len(shut) < 3 {
		t.Errorf("%d passed, failed: %v: want some of each", passed, shut)
	}
}

func approached(t *rapid.T, i int, customer string) proto.Message {
	offer := rapid.SampledFrom([]string{"sold", "given"}).Draw(t, "offer")
	contact := fmt.Sprint(customer, rapid.IntRange(0, 2).Draw(t, "contact"))
	answer := journeyv1.Answer(rapid.Int32Range(1, 3).Draw(t, "answer"))
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0, 1:
		return &channelv1.PropositionPresented{ContactId: contact, CustomerId: customer, PropositionId: offer}
	case 2:
		return &channelv1.PropositionAnswered{ContactId: contact, CustomerId: customer, PropositionId: offer, Answer: answer}
	case 3:
		return &channelv1.LeadResponseReceived{ContactId: contact, CustomerId: customer, LeadId: "lead", Answer: answer}
	case 4:
		return &channelv1.MessageSent{LeadId: fmt.Sprint(i), CustomerId: customer, Channel: journeyv1.Channel_CHANNEL_EMAIL}
	default:
		return &salesv1.RequestStatusChanged{
			RequestId: "r of " + customer, CustomerId: customer, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT,
			Status: journeyv1.RequestStatus(rapid.Int32Range(1, 3).Draw(t, "status")),
		}
	}
}
