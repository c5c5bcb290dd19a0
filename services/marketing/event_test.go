package marketing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// CH-4 and MA-3: an event of a kind that a channel has registered changes the very
// next list where it names a topic or a proposition; whatever its data are, it is
// taken in.
func TestScenarioMA3AnEventOfARegisteredKindChangesTheNextList(t *testing.T) {
	w := started(t, memory.Options{})
	w.withoutChance()
	w.define(sales("mortgage", "home", 9000), sales("savings", "saving", 10000))
	recorded := func(kind, data string) []string {
		id := w.produce("contact-c1", kind+data, &channelv1.CommercialEventRecorded{
			ContactId: "c1", CustomerId: "anna", Kind: kind, Version: 1, Data: data,
		})
		return offered(w.decided("c1", id))
	}
	got := [][]string{
		offered(w.decided("c1", w.contact("c1", "anna"))),
		recorded("shop-visited", `{"street": "High Street"}`),
		recorded("scribbled", "no JSON"),
		recorded("brochure-taken", `{"copies": 2, "topic": "Home"}`),
	}
	want := [][]string{{"savings", "mortgage"}, {"savings", "mortgage"}, {"savings", "mortgage"}, {"mortgage", "savings"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
	if err := w.app.Flows.Ready(t.Context()); err != nil {
		t.Errorf("the flows: %v", err)
	}
	var parked int
	if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM flow_parked`).Scan(&parked); err != nil || parked > 0 {
		t.Errorf("%d events are parked (%v)", parked, err)
	}
}

// Answers to leads are learned from, once each lead was presented: whatever comes
// first, and however often.
func TestScenarioMA2AnswersToLeadsAreLearnedFrom(t *testing.T) {
	w := started(t, memory.Options{})
	w.withoutChance()
	w.define(sales("savings", "saving", 10000))
	w.defineCampaign("define", autumn())
	w.spend(map[string]int64{"anna": 9000, "bert": 7000})
	rate := func(name string) float64 {
		d := w.decided("c of "+name, w.contact("c of "+name, name))
		return d.GetCandidates()[0].GetLearnedRate()
	}
	before := rate("carol")
	leads := w.run("monday").GetLeadIds()
	sent := func(name, lead string) {
		id := w.produce("message-"+lead, name, &channelv1.MessageSent{MessageId: lead, LeadId: lead, CustomerId: "anna", Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE})
		w.answerTo("lead-response-"+lead, id)
	}
	answered := func(name, lead string, answer journeyv1.Answer) {
		id := w.produce("contact-c9", name, &channelv1.LeadResponseReceived{ContactId: "c9", CustomerId: "anna", LeadId: lead, Answer: answer})
		w.answerTo("lead-response-"+lead, id)
	}
	learned := func(presented, accepted int) {
		t.Helper()
		w.await("what is learned", func() bool {
			var p, a int
			if err := w.db.QueryRow(t.Context(), `SELECT coalesce(sum(presented), 0), coalesce(sum(accepted), 0) FROM own_learned`).Scan(&p, &a); err != nil {
				t.Fatal(err)
			}
			return p == presented && a == accepted
		})
	}
	sent("first", leads[0])
	answered("no", leads[0], journeyv1.Answer_ANSWER_REJECTED)
	learned(1, 0)
	if got := rate("dora"); got >= before {
		t.Errorf("after a lead in vain the rate is %v, and was %v", got, before)
	}
	answered("yes, before it is told that it was sent", leads[1], journeyv1.Answer_ANSWER_ACCEPTED)
	sent("second", leads[1])
	sent("second, told again", leads[1])
	answered("yes again", leads[1], journeyv1.Answer_ANSWER_ACCEPTED)
	learned(2, 1)
	answered("a change of mind", leads[0], journeyv1.Answer_ANSWER_ACCEPTED)
	learned(2, 2)
	if got := rate("eve"); got <= before {
		t.Errorf("after two leads that were accepted the rate is %v, and was %v", got, before)
	}
}
