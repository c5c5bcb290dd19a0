package lead

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// stands are where a lead stands that is in a state.
var stands = map[marketingv1.PlaceState]Stand{
	marketingv1.PlaceState_PLACE_STATE_HELD: Held, marketingv1.PlaceState_PLACE_STATE_TAKEN: Taken,
	marketingv1.PlaceState_PLACE_STATE_DISPLACED: Gone, marketingv1.PlaceState_PLACE_STATE_REFUSED: Gone,
	marketingv1.PlaceState_PLACE_STATE_RELEASED: Gone,
}

// MA-6: whatever is claimed, taken and given back in whatever order: what is told of
// each lead is what is decided on.
func TestWhatIsToldOfLeadsIsWhatIsDecidedOn(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	caps := []*marketingv1.LeadCap{{Hours: 4, Most: 1}, {Channel: journeyv1.Channel_CHANNEL_EMAIL, Hours: 24, Most: 3}}
	states := map[marketingv1.PlaceState]int{}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		decided, told := Decider.Initial(), tale{}
		for range 40 {
			lead := fmt.Sprint("l", rng.IntN(12))
			var events []proto.Message
			switch rng.IntN(4) {
			case 0, 1:
				events = Hold(decided, Claim{
					LeadID: lead, CustomerID: "anna", CampaignID: "campaign of " + lead, RunID: "run of " + lead,
					Channel: journeyv1.Channel(2 + rng.IntN(2)), Priority: uint32(rng.IntN(3)), At: noon.Add(time.Duration(rng.IntN(48)) * time.Hour),
				}, caps)
			case 2:
				events = Take(decided, lead, "anna")
			case 3:
				if decided.Of(lead) != Taken { // a run gives back what it has not issued
					events = Release(decided, lead, "anna")
				}
			}
			for _, e := range events {
				decided, told = Evolve(decided, e), tell(told, e)
			}
		}
		list := told.latest(100)
		if len(list) != len(decided) {
			t.Errorf("seed %d: %d leads are told of, %d decided on", seed, len(list), len(decided))
		}
		for i, l := range list {
			p := decided[l.GetLeadId()]
			states[l.GetState()]++
			if p.stand != stands[l.GetState()] || p.counts() && (p.campaign != l.GetCampaignId() || p.channel != l.GetChannel() || !p.at.Equal(l.GetAt().AsTime())) {
				t.Errorf("seed %d: lead %s is told to be %v, and is %+v", seed, l.GetLeadId(), l, p)
			}
			if displaced := l.GetState() == marketingv1.PlaceState_PLACE_STATE_DISPLACED; displaced != (l.GetDisplacedBy() != "") {
				t.Errorf("seed %d: lead %s is displaced by %q: %v", seed, l.GetLeadId(), l.GetDisplacedBy(), l)
			}
			if i > 0 && list[i-1].GetAt().AsTime().Before(l.GetAt().AsTime()) {
				t.Errorf("seed %d: lead %s comes after an earlier one", seed, l.GetLeadId())
			}
		}
	}
	for state := range stands {
		if states[state] == 0 {
			t.Errorf("no lead is %s: it shows little", state)
		}
	}
}
