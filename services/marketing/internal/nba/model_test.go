package nba

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// anyFeatures draws features as they might be gathered; many topics, ids and
// values are alike, so that ties and matches are frequent.
func anyFeatures(t *rapid.T) Features {
	topic := rapid.SampledFrom([]string{"home", "savings", "service", "car", "travel", "news", "pets"})
	answer := rapid.SampledFrom([]string{"", "ANSWER_ACCEPTED", "ANSWER_REJECTED", "ANSWER_LATER"})
	tally := rapid.Custom(func(t *rapid.T) Tally {
		n := rapid.Uint64Range(0, 100).Draw(t, "n")
		return Tally{Situation(rapid.IntRange(0, 7).Draw(t, "in")), n, rapid.Uint64Range(0, n).Draw(t, "k")}
	})
	limit := rapid.Custom(func(t *rapid.T) Limit {
		return Limit{24, rapid.Uint32Range(0, 5).Draw(t, "most"), rapid.Uint32Range(0, 3).Draw(t, "approaches")}
	})
	offered := rapid.Custom(func(t *rapid.T) Offered {
		presented := rapid.Uint64Range(0, 50).Draw(t, "presented")
		return Offered{
			ID:             rapid.StringMatching(`[a-z0-9-]{1,4}`).Draw(t, "id"),
			Purpose:        rapid.SampledFrom([]string{"PURPOSE_SALES", "PURPOSE_SERVICE"}).Draw(t, "purpose"),
			Topic:          topic.Draw(t, "topic"),
			ValueCents:     rapid.OneOf(rapid.SampledFrom([]int64{0, 100, 1000}), rapid.Int64Range(0, 1e12)).Draw(t, "value"),
			Lever:          rapid.OneOf(rapid.Just(1.0), rapid.Float64Range(math.SmallestNonzeroFloat64, 1000)).Draw(t, "lever"),
			BasePropensity: rapid.OneOf(rapid.SampledFrom([]float64{0, 0.1, 1}), rapid.Float64Range(0, 1)).Draw(t, "base"),
			HasContent:     rapid.IntRange(0, 9).Draw(t, "content") > 0,
			Presented:      presented,
			Accepted:       rapid.Uint64Range(0, 60).Draw(t, "accepted"),
			Situation:      Situation(rapid.IntRange(0, 7).Draw(t, "situation")),
			Learned:        rapid.SliceOfNDistinct(tally, 0, 8, func(t Tally) Situation { return t.Situation }).Draw(t, "learned"),
			LastAnswer:     answer.Draw(t, "answer"),
			RejectedHere:   rapid.IntRange(0, 9).Draw(t, "rejected") == 0,
			Unanswered:     rapid.Uint64Range(0, 4).Draw(t, "unanswered"),
		}
	})
	return Features{
		Contact: "c1", Customer: "anna", Channel: "CHANNEL_WEBSITE",
		OpenComplaints: rapid.Uint32Range(0, 1).Draw(t, "complaints"),
		Orders:         rapid.Uint32().Draw(t, "orders"),
		SpentCents:     rapid.Int64().Draw(t, "spent"),
		Interests:      rapid.SliceOfNDistinct(topic, 0, 7, rapid.ID).Draw(t, "interests"),
		Propositions:   rapid.SliceOfNDistinct(offered, 0, 12, func(o Offered) string { return o.ID }).Draw(t, "propositions"),
		Limits:         rapid.SliceOfN(limit, 0, 2).Draw(t, "limits"),
		Arbitration: Rules{
			Exploration:  rapid.SampledFrom([]string{"", "EXPLORATION_OFF", "EXPLORATION_THOMPSON"}).Draw(t, "exploration"),
			ControlShare: rapid.SampledFrom([]float64{0, 0, 1}).Draw(t, "control"),
			FactorsOff: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
				"FACTOR_PROPENSITY", "FACTOR_CONTEXT", "FACTOR_VALUE", "FACTOR_LEVER",
			}), 0, 4, rapid.ID).Draw(t, "off"),
		},
	}
}

// naive is the arbitration as one would explain it: each rule by itself, with
// exact fractions in place of rounded numbers, and the list chosen by looking for
// the best again and again.
type naive struct{ f Features }

func (n naive) off(factor string) bool {
	for _, off := range n.f.Arbitration.FactorsOff {
		if off == factor {
			return true
		}
	}
	return false
}

func (n naive) gates(p Offered) marketingv1.Gate {
	if !p.HasContent {
		return marketingv1.Gate_GATE_ELIGIBILITY
	}
	if p.LastAnswer == "ANSWER_ACCEPTED" {
		return marketingv1.Gate_GATE_APPLICABILITY
	}
	if n.f.OpenComplaints != 0 && p.Purpose == "PURPOSE_SALES" {
		return marketingv1.Gate_GATE_SUITABILITY
	}
	if p.RejectedHere || p.Unanswered >= 3 {
		return marketingv1.Gate_GATE_CONTACT_POLICY
	}
	for _, l := range n.f.Limits {
		if p.Purpose == "PURPOSE_SALES" && l.Approaches >= l.Most {
			return marketingv1.Gate_GATE_CONTACT_POLICY
		}
	}
	return marketingv1.Gate_GATE_UNSPECIFIED
}

func (n naive) context(p Offered) float64 {
	if n.off("FACTOR_CONTEXT") {
		return 1
	}
	for i, topic := range n.f.Interests {
		if i < 5 && topic == p.Topic {
			return 2
		}
	}
	return 1
}

// share is what version 1 learned, as a fraction.
func (n naive) share(p Offered) *big.Rat {
	base := new(big.Rat).SetFloat64(p.BasePropensity)
	accepted := new(big.Rat).Add(new(big.Rat).Mul(big.NewRat(20, 1), base), new(big.Rat).SetUint64(p.Accepted))
	propensity := new(big.Rat).Quo(accepted, new(big.Rat).SetUint64(20+p.Presented))
	if propensity.Cmp(big.NewRat(1, 1)) > 0 {
		propensity.SetInt64(1)
	}
	return propensity
}

// exact is the priority as a fraction.
func (n naive) exact(p Offered, propensity *big.Rat) *big.Rat {
	product := new(big.Rat).SetInt64(1)
	if !n.off("FACTOR_PROPENSITY") {
		product.Set(propensity)
	}
	product.Mul(product, new(big.Rat).SetFloat64(n.context(p)))
	if !n.off("FACTOR_VALUE") {
		product.Mul(product, big.NewRat(p.ValueCents, 100))
	}
	if !n.off("FACTOR_LEVER") {
		product.Mul(product, new(big.Rat).SetFloat64(p.Lever))
	}
	return product
}

// list chooses by the rounded priorities, which are what an event shows.
func (n naive) list(d Decision) []string {
	left := map[string]float64{}
	for _, c := range d.Candidates {
		if c.GetGate() == marketingv1.Gate_GATE_UNSPECIFIED {
			left[c.GetPropositionId()] = c.GetPriority()
		}
	}
	var list []string
	for len(list) < 3 && len(left) > 0 {
		best := ""
		for id, priority := range left {
			if best == "" || priority > left[best] || priority == left[best] && id < best {
				best = id
			}
		}
		list = append(list, best)
		delete(left, best)
	}
	return list
}

func TestArbitrationAgreesWithANaiveTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFeatures(t)
		m := rapid.SampledFrom([]Model{current, counting}).Draw(t, "model")
		if m.Version == counting.Version { // of its time
			f.Arbitration, f.Limits = Rules{}, nil
		}
		d := m.Decide(f, 1)
		twin := naive{f}
		if len(d.Candidates) != len(f.Propositions) {
			t.Fatalf("%d candidates of %d propositions", len(d.Candidates), len(f.Propositions))
		}
		for _, p := range f.Propositions {
			twin.check(t, d, p, candidateOf(d, p.ID))
		}
		var list []string
		for _, c := range d.List {
			list = append(list, c.GetPropositionId())
		}
		if diff := cmp.Diff(twin.list(d), list); diff != "" {
			t.Errorf("the list (-want +got):\n%s", diff)
		}
	})
}

// check holds a candidate against the twin. What version 2 learns has tests of its
// own: here it is taken as it comes.
func (n naive) check(t *rapid.T, d Decision, p Offered, c *marketingv1.Candidate) {
	if c.GetGate() != n.gates(p) {
		t.Errorf("%s is left out by %s, want %s", p.ID, c.GetGate(), n.gates(p))
	}
	learns := d.Group != marketingv1.Group_GROUP_UNSPECIFIED
	if len(c.GetFailed()) > 0 && c.GetFailed()[0] != c.GetGate() || learns && len(c.GetFailed()) == 0 && c.GetGate() != 0 {
		t.Errorf("%s is left out by %s, and failed %v", p.ID, c.GetGate(), c.GetFailed())
	}
	if c.GetGate() != marketingv1.Gate_GATE_UNSPECIFIED {
		if c.GetPriority() != 0 || c.GetFirstProbability() != 0 {
			t.Errorf("%s is left out with priority %v, and comes first with %v", p.ID, c.GetPriority(), c.GetFirstProbability())
		}
		return
	}
	propensity := n.share(p)
	if learns {
		propensity = new(big.Rat).SetFloat64(c.GetPropensity())
	}
	want, _ := n.exact(p, propensity).Float64()
	switch {
	case (n.f.Arbitration.ControlShare == 1) != (d.Group == marketingv1.Group_GROUP_CONTROL):
		t.Errorf("with a control share of %v the group is %s", n.f.Arbitration.ControlShare, d.Group)
	case d.Group == marketingv1.Group_GROUP_CONTROL:
		if c.GetPriority() <= 0 || c.GetPriority() >= 1 {
			t.Errorf("%s has priority %v in the control group", p.ID, c.GetPriority())
		}
	case !close(c.GetPriority(), want):
		t.Errorf("%s has priority %v, want %v", p.ID, c.GetPriority(), want)
	case learns && c.GetPropensity() != 1 && n.f.Arbitration.Exploration != "EXPLORATION_THOMPSON" && c.GetPropensity() != c.GetLearnedRate():
		t.Errorf("%s has propensity %v where nothing explores, and learned %v", p.ID, c.GetPropensity(), c.GetLearnedRate())
	case !(c.GetLearnedLow() <= c.GetLearnedRate() && c.GetLearnedRate() <= c.GetLearnedHigh()):
		t.Errorf("%s has learned %v, between %v and %v", p.ID, c.GetLearnedRate(), c.GetLearnedLow(), c.GetLearnedHigh())
	}
}

func candidateOf(d Decision, id string) *marketingv1.Candidate {
	for _, c := range d.Candidates {
		if c.GetPropositionId() == id {
			return c
		}
	}
	return nil
}

// close allows each of the five operations one rounding.
func close(got, want float64) bool {
	return got == want || math.Abs(got-want) <= 5*0x1p-52*math.Abs(want) || math.Abs(got-want) < 0x1p-1060
}

func TestTheOrderOfPropositionsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFeatures(t)
		want := current.Decide(f, 1)
		shuffled := f
		shuffled.Propositions = append([]Offered{}, f.Propositions...)
		seed := rapid.Uint64().Draw(t, "shuffle")
		rand.New(rand.NewPCG(seed, seed)).Shuffle(len(shuffled.Propositions), func(i, j int) {
			shuffled.Propositions[i], shuffled.Propositions[j] = shuffled.Propositions[j], shuffled.Propositions[i]
		})
		if diff := cmp.Diff(want, current.Decide(shuffled, 1), protocmp.Transform()); diff != "" {
			t.Errorf("another order gives another decision (-want +got):\n%s", diff)
		}
		one, err := f.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if other, _ := shuffled.Canonical(); one != other {
			t.Errorf("another order gives other features:\n%s\n%s", one, other)
		}
	})
}

// A decision is replayed from its event: as it was made, and as the store keeps
// it, sealed and written as JSON.
func TestReplayIsBitForBit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e, err := Decide(Command{
			DecisionID: "d1", CauseID: "e1", Channel: journeyv1.Channel_CHANNEL_WEBSITE,
			Features: anyFeatures(rt), Seed: rapid.Uint64().Draw(rt, "seed"),
		})
		if err != nil {
			rt.Fatal(err)
		}
		back := stored(t, e)
		if diff := cmp.Diff(e, back, protocmp.Transform()); diff != "" {
			rt.Errorf("the stored event differs (-want +got):\n%s", diff)
		}
		for _, event := range []*marketingv1.NextBestActionsDecided{e, back} {
			if err := Verify(event); err != nil {
				rt.Error(err)
			}
			d, err := Replay(event)
			if err != nil {
				rt.Fatal(err)
			}
			if d.Seed != e.GetSeed() {
				rt.Errorf("replayed with seed %d, want %d", d.Seed, e.GetSeed())
			}
		}
	})
}

func TestReplayRefuses(t *testing.T) {
	decided := func(change func(*marketingv1.NextBestActionsDecided)) *marketingv1.NextBestActionsDecided {
		e, err := Decide(Command{DecisionID: "d1", Features: Features{Propositions: []Offered{
			{ID: "a", HasContent: true, ValueCents: 100, Lever: 1, BasePropensity: 0.1},
			{ID: "b", HasContent: true, ValueCents: 300, Lever: 1, BasePropensity: 0.1},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		change(e)
		return e
	}
	for name, tc := range map[string]struct {
		change func(*marketingv1.NextBestActionsDecided)
		want   error
	}{
		"an erased customer":      {func(e *marketingv1.NextBestActionsDecided) { e.Features = "" }, ErrErased},
		"an unknown model":        {func(e *marketingv1.NextBestActionsDecided) { e.ModelVersion = "0" }, ErrModel},
		"other parameters":        {func(e *marketingv1.NextBestActionsDecided) { e.ModelDigest = "0" }, ErrModel},
		"a candidate too many":    {func(e *marketingv1.NextBestActionsDecided) { e.Candidates = e.Candidates[:1] }, ErrDiffers},
		"a factor that was moved": {func(e *marketingv1.NextBestActionsDecided) { nudge(&e.Candidates[1].Value) }, ErrDiffers},
		"a priority by one bit":   {func(e *marketingv1.NextBestActionsDecided) { nudge(&e.Actions[0].Priority) }, ErrDiffers},
		"another order": {func(e *marketingv1.NextBestActionsDecided) {
			e.Actions[0], e.Actions[1] = e.Actions[1], e.Actions[0]
		}, ErrDiffers},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Verify(decided(tc.change)); !errors.Is(err, tc.want) {
				t.Errorf("Verify returned %v, want %v", err, tc.want)
			}
		})
	}
	if err := Verify(decided(func(e *marketingv1.NextBestActionsDecided) { e.Features = "{" })); err == nil {
		t.Error("features that are no JSON are verified")
	}
	if err := Verify(decided(func(*marketingv1.NextBestActionsDecided) {})); err != nil {
		t.Error(err)
	}
}

func nudge(value *float64) { *value = math.Nextafter(*value, math.Inf(1)) }

// A model that has decided never changes: its digest stands in events. Who
// changes a parameter makes another version.
func TestModelsNeverChange(t *testing.T) {
	for version, want := range map[string]string{
		"1": "ec6b1bf68525299b972891f27949ef1ef7107b565f33ad525d1db8387c586384",
		"2": "699d7bf631930338f5e39cdf5964f3f2d4c2bb524fd38f248b02c184f6d27a92",
		"3": "f4d86cefa52498b644c56308be3cd2782179b9609a15a132cb9fc44ce6c88c0c",
	} {
		m, ok := models[version]
		if !ok {
			t.Errorf("model %s is gone: what it decided can't be replayed", version)
			continue
		}
		if got, err := m.Digest(); err != nil || got != want {
			t.Errorf("model %s has digest %s, want %s (%v)", version, got, want, err)
		}
	}
}

// The numbers that machines disagree on when they fuse a product into a sum.
func TestArithmeticIsTheSameOnEveryMachine(t *testing.T) {
	p := Offered{ID: "a", HasContent: true, BasePropensity: 0.1, Accepted: 7, Presented: 13, ValueCents: 12345, Lever: 1.1}
	d := counting.Decide(Features{Propositions: []Offered{p}}, 0)
	c := d.Candidates[0]
	for name, tc := range map[string]struct {
		got  float64
		want uint64
	}{
		"propensity": {c.GetPropensity(), 0x3fd1745d1745d174},
		"priority":   {c.GetPriority(), 0x4042847ae147ae14},
	} {
		if bits := math.Float64bits(tc.got); bits != tc.want {
			t.Errorf("%s is %v, bits %#x, want %#x", name, tc.got, bits, tc.want)
		}
	}
}
