package marketing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
)

func sales(id, topic string, value int64) *marketingv1.Proposition {
	return &marketingv1.Proposition{
		PropositionId: id, Name: "The " + id, Purpose: marketingv1.Purpose_PURPOSE_SALES, Topic: topic,
		ValueCents: value, BasePropensity: 0.5, Contents: []*marketingv1.Content{
			{Channel: journeyv1.Channel_CHANNEL_WEBSITE, Text: "Look at " + id},
			{Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Text: "Say " + id},
		},
	}
}

func helpdesk() *marketingv1.Proposition {
	p := sales("helpdesk", "service", 100)
	p.Purpose = marketingv1.Purpose_PURPOSE_SERVICE
	return p
}

// define defines propositions, and waits until decisions know them.
func (w *world) define(all ...*marketingv1.Proposition) {
	w.t.Helper()
	for _, p := range all {
		if _, err := w.api.DefineProposition(keyed("define "+p.GetPropositionId()), &marketingv1.DefinePropositionRequest{Proposition: p}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.await("the propositions", func() bool {
		resp, err := w.api.ListPropositions(context.Background(), &marketingv1.ListPropositionsRequest{})
		if err != nil {
			w.t.Fatal(err)
		}
		return len(resp.GetPropositions()) >= len(all)
	})
}

// withoutChance has lists follow from what is known, and nothing be tried.
func (w *world) withoutChance() {
	w.t.Helper()
	off := &marketingv1.Arbitration{Exploration: marketingv1.Exploration_EXPLORATION_OFF}
	if _, err := w.api.ConfigureArbitration(keyed("without chance"), &marketingv1.ConfigureArbitrationRequest{Arbitration: off}); err != nil {
		w.t.Fatal(err)
	}
	w.await("lists without chance", func() bool {
		now, err := w.api.GetArbitration(context.Background(), &marketingv1.GetArbitrationRequest{})
		if err != nil {
			w.t.Fatal(err)
		}
		return now.GetArbitration().GetExploration() == off.GetExploration()
	})
}

// contact starts a contact of a customer on the website, and returns the event's
// id.
func (w *world) contact(contact, customer string) string {
	w.t.Helper()
	return w.produce("contact-"+contact, "start "+contact, &channelv1.ContactStarted{
		ContactId: contact, CustomerId: customer, Channel: journeyv1.Channel_CHANNEL_WEBSITE,
	})
}

func TestEachContactEventChangesTheNextList(t *testing.T) {
	w := started(t, memory.Options{})
	w.withoutChance()
	w.define(sales("mortgage", "home", 9000), sales("savings", "saving", 10000), helpdesk())

	start := w.contact("c1", "anna")
	first := w.decided("c1", start)
	if diff := cmp.Diff([]string{"savings", "mortgage", "helpdesk"}, offered(first)); diff != "" {
		t.Errorf("the first list (-want +got):\n%s", diff)
	}
	interest := w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Kind: "landing-page", Topic: "Home"})
	second := w.decided("c1", interest)
	if diff := cmp.Diff([]string{"mortgage", "savings", "helpdesk"}, offered(second)); diff != "" {
		t.Errorf("the list after an interest in homes (-want +got):\n%s", diff)
	}
	w.produce("contact-c1", "presented", &channelv1.PropositionPresented{ContactId: "c1", CustomerId: "anna", PropositionId: "mortgage"})
	no := w.produce("contact-c1", "no", &channelv1.PropositionAnswered{
		ContactId: "c1", CustomerId: "anna", PropositionId: "mortgage", Answer: journeyv1.Answer_ANSWER_REJECTED,
	})
	if diff := cmp.Diff([]string{"savings", "helpdesk"}, offered(w.decided("c1", no))); diff != "" {
		t.Errorf("the list after a no (-want +got):\n%s", diff)
	}

	// The contact goes on in the call centre, which says what the website shows.
	over := w.produce("contact-c1", "over", &channelv1.ContactHandedOver{
		ContactId: "c1", CustomerId: "anna", From: journeyv1.Channel_CHANNEL_WEBSITE, To: journeyv1.Channel_CHANNEL_CALL_CENTRE,
	})
	if decided := w.decided("c1", over); decided.GetChannel() != journeyv1.Channel_CHANNEL_CALL_CENTRE {
		t.Errorf("decided for %s", decided.GetChannel())
	}
	back := w.produce("contact-c1", "back", &channelv1.ContactHandedOver{
		ContactId: "c1", CustomerId: "anna", From: journeyv1.Channel_CHANNEL_CALL_CENTRE, To: journeyv1.Channel_CHANNEL_WEBSITE,
	})
	w.decided("c1", back)

	// An open complaint suppresses what sells, as soon as marketing hears of it.
	w.realTime("request-status")
	w.produce("request-r1", "complaint", &salesv1.RequestStatusChanged{
		RequestId: "r1", CustomerId: "anna", Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
	})
	w.await("the complaint", func() bool { return w.profile("anna").GetOpenComplaints() == 1 })
	banner := w.produce("contact-c1", "banner", &channelv1.BannerClicked{ContactId: "c1", CustomerId: "anna", PropositionId: "savings"})
	if diff := cmp.Diff([]string{"helpdesk"}, offered(w.decided("c1", banner))); diff != "" {
		t.Errorf("the list of who complains (-want +got):\n%s", diff)
	}

	for _, e := range w.read("decisions-c1") {
		if err := nba.Verify(e.Message.(*marketingv1.NextBestActionsDecided)); err != nil {
			t.Error(err)
		}
	}
}

func (w *world) profile(customer string) *marketingv1.GetProfileResponse {
	w.t.Helper()
	resp, err := w.api.GetProfile(context.Background(), &marketingv1.GetProfileRequest{CustomerId: customer})
	if err != nil && status.Code(err) != codes.NotFound {
		w.t.Fatal(err)
	}
	return resp
}

func TestADecisionExplainsItself(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	anonymous := w.contact("c1", "")
	secret := w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", Kind: "landing-page", Topic: "a very private topic"})
	identified := w.produce("contact-c1", "identified", &channelv1.VisitorIdentified{ContactId: "c1", CustomerId: "anna"})
	decided := w.decided("c1", identified)

	e := w.answerTo("decisions-c1", identified)
	if got := e.Metadata.CorrelationID; got != "call of identified" {
		t.Errorf("the decision's correlation is %q, want its cause's", got)
	}
	if strings.Contains(string(e.Data), "private") || !strings.Contains(decided.GetFeatures(), "a very private topic") {
		t.Errorf("features must be told, and sealed: %s", e.Data)
	}
	for _, cause := range []string{anonymous, secret} {
		for _, e := range w.read("decisions-c1") {
			if e.Metadata.CausationID == cause {
				t.Errorf("%s was answered while nobody knew who it was", cause)
			}
		}
	}
	got, err := w.api.GetDecision(context.Background(), &marketingv1.GetDecisionRequest{ContactId: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetDecisionId() != decided.GetDecisionId() || got.GetCauseId() != identified || got.GetCustomerId() != "anna" {
		t.Errorf("GetDecision tells of %s for %s by %s", got.GetDecisionId(), got.GetCustomerId(), got.GetCauseId())
	}
	if got.GetDecidedAt().AsTime().IsZero() || got.GetModelVersion() != "3" || len(got.GetCandidates()) != 1 || len(got.GetActions()) != 1 {
		t.Errorf("GetDecision leaves something out: %v", got)
	}
	if diff := cmp.Diff([]string{"contact-events", "customer-facts", "request-status"}, flowsOf(got.GetRestedOn())); diff != "" {
		t.Errorf("it rests on (-want +got):\n%s", diff)
	}
	if action := got.GetActions()[0]; action.GetName() != "The savings" || action.GetContent() != "Look at savings" {
		t.Errorf("the action is %v", action)
	}
}

// MA-2: each decision of a contact can be asked for, and comes out the same again;
// that of who was erased can't.
func TestScenarioMA2DecisionsAreExplainedAndReplayed(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000), sales("mortgage", "home", 9000), helpdesk())
	first := w.decided("c1", w.contact("c1", "anna"))
	second := w.decided("c1", w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Topic: "home"}))
	for asked, want := range map[string]string{"": second.GetDecisionId(), first.GetDecisionId(): first.GetDecisionId(), second.GetDecisionId(): second.GetDecisionId()} {
		got, err := w.api.GetDecision(t.Context(), &marketingv1.GetDecisionRequest{ContactId: "c1", DecisionId: asked})
		if err != nil || got.GetDecisionId() != want || got.GetSeed() == 0 || got.GetGroup() == marketingv1.Group_GROUP_UNSPECIFIED {
			t.Errorf("decision %q is %v (%v), want %s", asked, got, err, want)
		}
		again, err := w.api.GetReplay(t.Context(), &marketingv1.GetReplayRequest{ContactId: "c1", DecisionId: asked})
		if err != nil || again.GetDecisionId() != want || again.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME || again.GetCandidates() != 3 {
			t.Errorf("the replay of %q is %v (%v)", asked, again, err)
		}
	}
	chances := 0.0
	for _, c := range first.GetCandidates() {
		chances += c.GetFirstProbability()
	}
	if chances < 0.999 || chances > 1.001 {
		t.Errorf("the probabilities of coming first add up to %v", chances)
	}
	_, err := w.api.GetReplay(t.Context(), &marketingv1.GetReplayRequest{ContactId: "c1", DecisionId: "another"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("the replay of an unknown decision: %v, want NotFound", err)
	}
	if err := w.ring.Destroy(t.Context(), "customer:anna", keyring.Erasure{By: "test", Reason: "she asked for it"}); err != nil {
		t.Fatal(err)
	}
	again, err := w.api.GetReplay(t.Context(), &marketingv1.GetReplayRequest{ContactId: "c1"})
	if err != nil || again.GetOutcome() != marketingv1.ReplayOutcome_REPLAY_OUTCOME_ERASED || again.GetDifference() == "" {
		t.Errorf("the replay of who was erased is %v (%v)", again, err)
	}
}

func flowsOf(all []*flowv1.Freshness) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.GetFlow())
	}
	return names
}

func TestCausesThatComeLateExpire(t *testing.T) {
	w := started(t, memory.Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
	start := w.contact("c1", "anna")
	response := w.produce("contact-c1", "response", &channelv1.LeadResponseReceived{ContactId: "c1", CustomerId: "anna", LeadId: "l1"})
	for _, cause := range []string{start, response} {
		expired, ok := w.answerTo("decisions-c1", cause).Message.(*flowv1.CauseExpired)
		if !ok || expired.GetCauseId() != cause || expired.GetFlow() != nba.Flow || expired.GetReason() == "" {
			t.Errorf("a late cause is answered with %v", expired)
		}
	}
	// The contact is over; what the customer said of a lead still holds.
	w.answerTo("lead-response-l1", response)
	_, err := w.api.GetDecision(context.Background(), &marketingv1.GetDecisionRequest{ContactId: "c1"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("GetDecision without a decision: %v, want NotFound", err)
	}
}

func TestAnErasedCustomerGetsNoDecision(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	w.decided("c1", w.contact("c1", "anna"))
	if err := w.ring.Destroy(t.Context(), "customer:anna", keyring.Erasure{By: "test", Reason: "she asked for it"}); err != nil {
		t.Fatal(err)
	}
	cause := w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Topic: "home"})
	if _, ok := w.answerTo("decisions-c1", cause).Message.(*flowv1.CauseExpired); !ok {
		t.Error("somebody who was erased is decided for")
	}
	got, err := w.api.GetDecision(t.Context(), &marketingv1.GetDecisionRequest{ContactId: "c1"})
	if err != nil || got.GetFeatures() != "" {
		t.Errorf("the features of who was erased are %q (%v)", got.GetFeatures(), err)
	}
	w.decided("c2", w.contact("c2", "bert")) // others go on
}

func TestResponsesToLeadsAreRecorded(t *testing.T) {
	w := started(t, memory.Options{})
	received := &channelv1.LeadResponseReceived{
		ContactId: "c1", CustomerId: "anna", LeadId: "l1",
		Answer: journeyv1.Answer_ANSWER_ACCEPTED, Channel: journeyv1.Channel_CHANNEL_BRANCH,
	}
	cause := w.produce("contact-c1", "response", received)
	recorded, ok := w.answerTo("lead-response-l1", cause).Message.(*marketingv1.LeadResponseRecorded)
	if !ok || recorded.GetLeadId() != "l1" || recorded.GetCustomerId() != "anna" || recorded.GetContactId() != "c1" ||
		recorded.GetAnswer() != received.GetAnswer() || recorded.GetChannel() != received.GetChannel() {
		t.Errorf("recorded %v", recorded)
	}
	w.decided("c1", cause) // it changes what is offered next, too
}

func TestAResponseWithoutALeadIsParked(t *testing.T) {
	w := started(t, memory.Options{})
	w.produce("contact-c1", "response", &channelv1.LeadResponseReceived{ContactId: "c1", CustomerId: "anna"})
	other := w.contact("c2", "bert")
	w.decided("c2", other) // others go on
	w.await("the parked event", func() bool { return w.app.Flows.Intake(nba.Flow).State().Parked == 1 })
}

func TestProfileJoinsWhatEachFlowHasBrought(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	_, err := w.api.GetProfile(context.Background(), &marketingv1.GetProfileRequest{CustomerId: "anna"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("an unknown customer: %v, want NotFound", err)
	}
	w.produce("customer-anna", "order", &salesv1.OrderPlaced{CustomerId: "anna", OrderId: "o1", AmountCents: 1234})
	w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Topic: "Saving"})
	w.await("the contact", func() bool { return len(w.profile("anna").GetInterests()) == 1 })
	before := w.profile("anna")
	if before.GetOrders() != 0 {
		t.Errorf("daily facts are known before their window: %v", before)
	}
	if facts := before.GetFreshness()[1]; facts.GetFlow() != "customer-facts" || facts.GetCadence() != "daily" {
		t.Errorf("freshness of the facts: %v", facts)
	}
	if _, err := w.flows.RunWindow(context.Background(), "customer-facts", "test", "to see it now"); err != nil {
		t.Fatal(err)
	}
	w.await("the order", func() bool { return w.profile("anna").GetOrders() == 1 })
	after := w.profile("anna")
	if after.GetSpentCents() != 1234 || !slices.Equal(after.GetInterests(), []string{"saving"}) {
		t.Errorf("the profile is %v", after)
	}
}

// MA-4: a segment is defined by a rule, tried out before, and follows what happens.
func TestScenarioMA4SegmentsFollowWhatHappens(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	rule := `interests include "saving" and accepted exclude "savings"`
	define := func(key string, s *marketingv1.Segment) error {
		_, err := w.api.DefineSegment(keyed(key), &marketingv1.DefineSegmentRequest{Segment: s})
		return err
	}
	err := define("wrong", &marketingv1.Segment{SegmentId: "savers", Name: "Savers", Rule: "interests include 3"})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "line 1, column 19") {
		t.Errorf("a rule with a type error: %v", err)
	}
	if _, err := w.api.GetReach(t.Context(), &marketingv1.GetReachRequest{Rule: `presented include "nothing"`}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a rule about an unknown proposition: %v", err)
	}
	w.decided("c1", w.contact("c1", "anna"))
	w.decided("c2", w.contact("c2", "bert"))
	w.decided("c1", w.produce("contact-c1", "interest", &channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Topic: "Saving"}))
	// A decision is on record before the tables show what it rested on.
	w.await("the customers that the rule reaches", func() bool {
		reach, err := w.api.GetReach(t.Context(), &marketingv1.GetReachRequest{Rule: rule})
		if err != nil || len(reach.GetFreshness()) != 3 {
			t.Fatalf("the rule reaches %v (%v)", reach, err)
		}
		return reach.GetCustomers() == 1 && reach.GetKnown() == 2
	})
	if n := len(w.read("segment-savers")); n != 0 {
		t.Errorf("a dry run has written %d events", n)
	}
	for range 2 { // the second time with its key
		if err := define("right", &marketingv1.Segment{SegmentId: "savers", Name: "Savers", Rule: rule}); err != nil {
			t.Fatal(err)
		}
	}
	w.await("the segment", func() bool { return slices.Equal(w.profile("anna").GetSegments(), []string{"savers"}) })
	if got := w.profile("bert").GetSegments(); len(got) > 0 {
		t.Errorf("who shows no interest belongs to %v", got)
	}
	listed, err := w.api.ListSegments(t.Context(), &marketingv1.ListSegmentsRequest{})
	if err != nil || len(listed.GetSegments()) != 1 || listed.GetSegments()[0].GetRule() != rule {
		t.Errorf("the segments are %v (%v)", listed, err)
	}
	w.decided("c1", w.produce("contact-c1", "accepted", &channelv1.PropositionAnswered{
		ContactId: "c1", CustomerId: "anna", PropositionId: "savings", Answer: journeyv1.Answer_ANSWER_ACCEPTED,
	}))
	w.await("that she leaves it", func() bool { return len(w.profile("anna").GetSegments()) == 0 })
	if n := len(w.read("segment-savers")); n != 1 {
		t.Errorf("the segment was defined %d times", n)
	}
}

func TestRESTAnswersAsGRPCDoes(t *testing.T) {
	w := started(t, memory.Options{})
	do := func(method, path, key, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, w.rest+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	define := `{"name":"Savings","purpose":"PURPOSE_SALES","topic":"saving","contents":[{"channel":"CHANNEL_WEBSITE","text":"Save"}]}`
	for _, tc := range []struct {
		method, path, key, body string
		want                    int
	}{
		{"PUT", "/v1/propositions/savings", "k1", define, 200},
		{"PUT", "/v1/propositions/savings", "k1", define, 200},
		{"PUT", "/v1/propositions/savings", "", define, 400},
		{"PUT", "/v1/propositions/NOT%20AN%20ID", "k2", define, 400},
		{"GET", "/v1/propositions", "", "", 200},
		{"GET", "/v1/contacts/c9/decision", "", "", 404},
		{"GET", "/v1/contacts/c9/decision/replay", "", "", 404},
		{"PUT", "/v1/arbitration", "k4", `{"exploration":"EXPLORATION_OFF"}`, 200},
		{"PUT", "/v1/arbitration", "k5", `{"control_share":2}`, 400},
		{"GET", "/v1/arbitration", "", "", 200},
		{"PUT", "/v1/segments/buyers", "k6", `{"name":"Buyers","rule":"orders > 0"}`, 200},
		{"PUT", "/v1/segments/buyers", "k7", `{"name":"Buyers","rule":"orders > none"}`, 400},
		{"GET", "/v1/reach?rule=orders%20%3E%200", "", "", 200},
		{"GET", "/v1/segments", "", "", 200},
		{"GET", "/v1/customers/nobody/profile", "", "", 404},
		{"POST", "/v1/campaigns/none/runs", "k3", "{}", 404},
		{"GET", "/v1/campaigns/none/runs", "", "", 404},
		{"POST", "/v1/campaigns/none/stop", "k8", "{}", 404},
		{"GET", "/v1/campaigns", "", "", 200},
		{"PUT", "/v1/lead-caps", "k9", `{"caps":[{"channel":"CHANNEL_EMAIL","hours":168,"most":2},{"hours":24,"most":1}]}`, 200},
		{"PUT", "/v1/lead-caps", "k10", `{"caps":[{"hours":24,"most":1},{"hours":24,"most":2}]}`, 400},
		{"GET", "/v1/lead-caps", "", "", 200},
	} {
		if code, body := do(tc.method, tc.path, tc.key, tc.body); code != tc.want {
			t.Errorf("%s %s: %d, want %d: %s", tc.method, tc.path, code, tc.want, body)
		}
	}
	if n := len(w.read("proposition-savings")); n != 1 {
		t.Errorf("the proposition was defined %d times", n)
	}
}

func TestADecisionThatIsTooLargeDoesNotStopTheFlow(t *testing.T) {
	w := started(t, memory.Options{})
	w.fill(strings.Repeat("<", 500))
	if _, ok := w.answerTo("decisions-c1", w.contact("c1", "anna")).Message.(*flowv1.CauseExpired); !ok {
		t.Error("a decision of more than an append is there")
	}
	if err := w.app.Flows.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is known depends on how far a flow has come, not on how often it runs.
func TestTheTablesAreTheSameAtEveryCadence(t *testing.T) {
	tables := map[string]string{}
	for _, cadence := range []string{flows.RealTime, flows.Daily, flows.Weekly} {
		w := started(t, memory.Options{})
		for _, flow := range []string{"customer-facts", "request-status"} {
			w.move(flow, cadence)
		}
		for i := range 20 {
			customer := fmt.Sprint("customer ", i%3)
			w.produce("customer-"+customer, fmt.Sprint("order ", i), &salesv1.OrderPlaced{CustomerId: customer, AmountCents: int64(i)})
			w.produce("customer-"+customer, fmt.Sprint("consent ", i), &salesv1.ConsentChanged{CustomerId: customer, Consent: journeyv1.Consent(i % 3)})
			w.produce(fmt.Sprint("request-", i), fmt.Sprint("request ", i), &salesv1.RequestStatusChanged{
				RequestId: fmt.Sprint(i), CustomerId: customer, Kind: journeyv1.RequestKind(i % 4), Status: journeyv1.RequestStatus(i%3 + 1),
			})
		}
		if cadence != flows.RealTime {
			for _, flow := range []string{"customer-facts", "request-status"} {
				if _, err := w.flows.RunWindow(t.Context(), flow, "test", "to see it now"); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.await("all of both flows", func() bool {
			var orders, requests int
			err := w.db.QueryRow(t.Context(), `SELECT (SELECT coalesce(sum(orders), 0) FROM facts_customer), (SELECT count(*) FROM complaint_request)`).Scan(&orders, &requests)
			if err != nil {
				t.Fatal(err)
			}
			return orders == 20 && requests == 20
		})
		w.await("the last consent", func() bool { return w.app.Flows.Intake("customer-facts").State().Taken == 40 })
		tables[cadence] = w.dump()
		if diff := cmp.Diff(tables[flows.RealTime], tables[cadence]); diff != "" {
			t.Errorf("%s gives other tables than real time (-want +got):\n%s", cadence, diff)
		}
	}
}
