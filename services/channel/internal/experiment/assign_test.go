package experiment

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

func running(id string, weights ...uint32) State {
	e := &channelv1.ExperimentDefined{ExperimentId: id}
	for i, w := range weights {
		e.Variants = append(e.Variants, &channelv1.Variant{VariantId: fmt.Sprint("v", i), Weight: w})
	}
	return State{Defined: e}
}

func draw(t testing.TB, s State, c contact.State) contact.Drawn {
	t.Helper()
	drawn, err := s.Draw(keyring.Memory().Hash)(c)
	if err != nil {
		t.Fatal(err)
	}
	return drawn
}

// Variants are drawn in proportion to their weights, and in two experiments
// independently. Chi-square's critical values for a chance of 0.001 are those of
// the NIST/SEMATECH e-Handbook, 1.3.6.7.4.
func TestVisitorsFallToVariantsByWeightAndByExperiment(t *testing.T) {
	const visitors = 100_000
	critical := []float64{1: 10.828, 2: 13.816, 3: 16.266}
	chiSquare := func(seen map[string]int, want map[string]float64) (sum float64) {
		for name, share := range want {
			off := float64(seen[name]) - share*visitors
			sum += off * off / (share * visitors)
		}
		return sum
	}
	a, b := running("a", 1, 2, 7), running("b", 1, 1)
	seen, pairs := map[string]int{}, map[string]int{}
	for i := range visitors {
		c := contact.State{ID: "c", VisitorID: fmt.Sprint("visitor-", i)}
		ofA, ofB := draw(t, a, c), draw(t, b, c)
		seen[ofA.VariantID]++
		pairs[ofA.VariantID+ofB.VariantID]++
	}
	if x := chiSquare(seen, map[string]float64{"v0": 0.1, "v1": 0.2, "v2": 0.7}); x > critical[2] || math.IsNaN(x) {
		t.Errorf("shares of 1:2:7 are %v (chi-square %.2f)", seen, x)
	}
	old, other := float64(pairs["v2v0"]), float64(pairs["v2v1"])
	if x := (old - other) * (old - other) / (old + other); x > critical[1] {
		t.Errorf("two experiments hang together: %v (chi-square %.2f)", pairs, x)
	}
}

// The same visitor is drawn the same variant, in whatever contact, and whatever
// else the contact knows: the customer where there is one, else the browser, else
// the contact.
func TestAVisitorIsDrawnTheSameVariantAgain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.SampledFrom([]string{"", "x", "y"})
		state := func(label string) contact.State {
			return contact.State{
				ID: rapid.SampledFrom([]string{"c1", "c2"}).Draw(rt, label+" contact"), VisitorID: text.Draw(rt, label+" visitor"),
				CustomerID: text.Draw(rt, label+" customer"),
				Began:      journeyv1.Channel(rapid.IntRange(1, 2).Draw(rt, label+" channel")),
			}
		}
		one, other := state("one"), state("other")
		var same bool
		switch {
		case one.CustomerID != "" || other.CustomerID != "":
			same = one.CustomerID == other.CustomerID
		case one.VisitorID != "" || other.VisitorID != "":
			same = one.VisitorID == other.VisitorID && one.Began == other.Began
		default:
			same = one.ID == other.ID
		}
		e := running("e", 3, 4, 5)
		if a, b := draw(t, e, one), draw(t, e, other); (a.Unit == b.Unit) != same || same && a != b {
			rt.Errorf("%+v is drawn %v, and %+v %v", one, a, other, b)
		}
	})
}

// Who is known by the website's cookie stays the same visitor when the contact goes on
// in the call centre.
func TestAHandOverMakesNobodyAnotherVisitor(t *testing.T) {
	begun := contact.Decider.Evolve(contact.Decider.Initial(), &channelv1.ContactStarted{
		ContactId: "c", Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: "cookie-1",
	})
	handedOver := contact.Decider.Evolve(begun, &channelv1.ContactHandedOver{
		ContactId: "c", From: journeyv1.Channel_CHANNEL_WEBSITE, To: journeyv1.Channel_CHANNEL_CALL_CENTRE,
	})
	e := running("e", 1, 1)
	if before, after := draw(t, e, begun), draw(t, e, handedOver); before != after {
		t.Errorf("on the website it is %v, and in the call centre %v", before, after)
	}
}
