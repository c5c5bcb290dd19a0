package nba

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

var learner = *current.Learner

// What a decision computes is held against package math, which is right to the
// last bit or two.
func TestFunctionsAgreeWithTheStandardOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-700, 700).Draw(t, "x")
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 4e-16*want {
			t.Errorf("exp(%v) is %v, want %v", x, got, want)
		}
		y := rapid.OneOf(rapid.Float64Range(1e-300, 1), rapid.Float64Range(0.5, 2), rapid.Float64Range(1, 1e300)).Draw(t, "y")
		if got, want := log(y), math.Log(y); math.Abs(got-want) > 4e-16*math.Abs(want) {
			t.Errorf("log(%v) is %v, want %v", y, got, want)
		}
		z := rapid.Float64Range(-9, 9).Draw(t, "z")
		if got, want := normal(z), math.Erfc(-z/math.Sqrt2)/2; math.Abs(got-want) > 1e-14 && math.Abs(z) < 7 || math.Abs(got-want) > 2e-12 {
			t.Errorf("normal(%v) is %v, want %v", z, got, want)
		}
		p := rapid.Float64Range(1e-9, 1-1e-9).Draw(t, "p")
		if got := logistic(logit(p)); math.Abs(got-p) > 1e-14*p {
			t.Errorf("logistic(logit(%v)) is %v", p, got)
		}
	})
}

// The bits that every machine has to come to.
func TestFunctionsAreTheSameOnEveryMachine(t *testing.T) {
	luck := newChance(42, "savings")
	for name, tc := range map[string]struct {
		got  float64
		want uint64
	}{
		"exp":      {exp(-1.234), 0x3fd2a1cdddde5461},
		"log":      {log(0.1234), 0xc000bd147400b759},
		"logistic": {logistic(-0.77), 0x3fd4413194d144f2},
		"normal":   {normal(1.96), 0x3fef33379d3bd367},
		"luck":     {luck.normal(), 0x3fff0ce8f8d40ac0},
		"share":    {share("anna"), 0x3fc1c661841a7638},
		"belief":   {learner.learn(0.2, []Tally{{0, 130, 21}, {Manned, 17, 9}, {Engaged | Again, 8, 1}}, Engaged).rate(1.5), 0x3fd370395c626288},
	} {
		if bits := math.Float64bits(tc.got); bits != tc.want {
			t.Errorf("%s is %v, bits %#x, want %#x", name, tc.got, bits, tc.want)
		}
	}
}

// Published percentage points of the normal distribution (Abramowitz and Stegun,
// table 26.1 and 26.6).
func TestNormalAgreesWithPublishedTables(t *testing.T) {
	for x, want := range map[float64]float64{
		0: 0.5, 0.5: 0.69146246127401, 1: 0.84134474606854, 2: 0.97724986805182, 3: 0.99865010196837,
		1.6448536269514722: 0.95, 1.959963984540054: 0.975, 2.5758293035489004: 0.995,
	} {
		if got := normal(x); math.Abs(got-want) > 1e-14 {
			t.Errorf("normal(%v) is %v, want %v", x, got, want)
		}
	}
}

// Where nothing is learned the belief is the prior: its median is the base
// propensity, and it weighs as many presentations as it says.
func TestAColdStartIsTheBasePropensity(t *testing.T) {
	for _, base := range []float64{0, 0.001, 0.05, 0.2, 0.5, 0.9, 1} {
		b := learner.learn(base, nil, 0)
		want := min(max(base, 0.001), 0.999)
		if got := b.rate(0); math.Abs(got-want) > 1e-12 {
			t.Errorf("with nothing learned the rate of %v is %v", base, got)
		}
		if got, want := b.deviation, 1/math.Sqrt(20*want*(1-want)); math.Abs(got-want) > 1e-12*want {
			t.Errorf("with nothing learned the deviation of %v is %v, want %v", base, got, want)
		}
	}
}

// The mode is where the slope is nil, whatever was counted.
func TestTheModeIsFound(t *testing.T) {
	tally := rapid.Custom(func(t *rapid.T) Tally {
		n := rapid.OneOf(rapid.Uint64Range(0, 30), rapid.Uint64Range(0, 1e9)).Draw(t, "presented")
		return Tally{Situation(rapid.IntRange(0, 15).Draw(t, "situation")), n, rapid.Uint64Range(0, n).Draw(t, "accepted")}
	})
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1})).Draw(t, "base")
		tallies := rapid.SliceOfNDistinct(tally, 0, 16, func(t Tally) Situation { return t.Situation }).Draw(t, "tallies")
		base = min(max(base, learner.LeastBase), 1-learner.LeastBase)
		fit := regression{mean: vector{logit(base)}, precision: vector{20 * base * (1 - base), 4, 4, 4, 0.25}, tallies: tallies}
		mode, root := fit.mode()
		gradient, _ := fit.slope(mode)
		// In deviations of the posterior.
		off := root.forward(gradient)
		if distance := math.Sqrt(off.dot(off)); !(distance < 1e-6) {
			t.Errorf("the slope is %v deviations off at %v", distance, mode)
		}
	})
}

// customers draws who accept at rates that follow from weights.
type customers struct {
	*rand.Rand
	weights vector
}

func (c customers) accepts(s Situation) bool {
	return c.Float64() < logistic(s.vector().dot(c.weights))
}

func tell(tallies []Tally, s Situation, accepted bool) {
	tallies[s].Presented++
	if accepted {
		tallies[s].Accepted++
	}
}

func noTallies() []Tally {
	all := make([]Tally, 1<<(weights-1))
	for s := range all {
		all[s].Situation = Situation(s)
	}
	return all
}

// drawn are weights drawn from the prior of a base propensity.
func (c customers) drawn(base float64) vector {
	w := vector{logit(base) + c.NormFloat64()/math.Sqrt(learner.PriorCount*base*(1-base))}
	for i := 1; i < weights-1; i++ { // the last one is of leads, and nobody here gets any
		w[i] = c.NormFloat64() * math.Sqrt(learner.SituationVariance)
	}
	return w
}

// The interval that a decision tells covers the true rate as often as it says: in
// 90% of 1,000 runs, give or take three deviations of such a count (28.5), after
// few answers and after many.
func TestTheIntervalCoversTheTruthAtItsRate(t *testing.T) {
	for _, answers := range []int{0, 10, 100, 1000} {
		for _, base := range []float64{0.05, 0.2, 0.5} {
			covered := 0
			for run := range 1000 {
				c := customers{Rand: rand.New(rand.NewPCG(uint64(run), uint64(answers)))}
				c.weights = c.drawn(base)
				seen := noTallies()
				for range answers {
					s := Situation(c.IntN(8))
					tell(seen, s, c.accepts(s))
				}
				now := Situation(c.IntN(8))
				b, truth := learner.learn(base, seen, now), logistic(now.vector().dot(c.weights))
				if b.rate(-learner.Quantile) <= truth && truth <= b.rate(learner.Quantile) {
					covered++
				}
			}
			t.Logf("after %4d answers, base %.2f: %d of 1000 intervals of 90%% cover the truth", answers, base, covered)
			if covered < 900-29 || covered > 900+29 {
				t.Errorf("after %d answers, base %v, %d of 1000 intervals of 90%% cover the truth", answers, base, covered)
			}
		}
	}
}

// Leads are answered far less often than offers in a conversation. That is learned of
// leads, and takes little away from what is known of conversations; where nothing is
// known of those, it says something.
func TestLeadsAreLearnedFromInASituationOfTheirOwn(t *testing.T) {
	l := *current.Learner
	contacts, leads := Tally{Situation: 0, Presented: 200, Accepted: 60}, Tally{Situation: Outbound, Presented: 20000, Accepted: 200}
	for name, tc := range map[string]struct {
		tallies     []Tally
		in          Situation
		least, most float64
	}{
		"conversations":                         {[]Tally{contacts}, 0, 0.27, 0.31},
		"conversations, with many leads":        {[]Tally{contacts, leads}, 0, 0.25, 0.30},
		"leads":                                 {[]Tally{contacts, leads}, Outbound, 0.0095, 0.0105},
		"conversations, where nothing is known": {nil, 0, 0.199, 0.201},
		"conversations, with leads alone":       {[]Tally{leads}, 0, 0.03, 0.19},
	} {
		if got := l.learn(0.2, tc.tallies, tc.in).rate(0); got < tc.least || got > tc.most {
			t.Errorf("%s: %.4f, want %.4f to %.4f", name, got, tc.least, tc.most)
		}
	}
}
