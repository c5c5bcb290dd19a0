package marketing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
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
