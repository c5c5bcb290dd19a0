package experiment

import (
	"math"
	"math/rand/v2"
	"testing"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// The values are those that the authors of the paper test their own library with
// (confseq, uniform_boundaries_unittest.cpp, from a reference implementation in R).
func TestTheMixtureIsThatOfThePaper(t *testing.T) {
	m := newMixture(2, 100, 0.05)
	if got := m.log(10, 100); math.Abs(got - -0.2490165) > 1e-6 {
		t.Errorf("log: %.7f", got)
	}
	if got := m.bound(100, 0.05); math.Abs(got-33.02017) > 1e-5 {
		t.Errorf("bound: %.5f", got)
	}
}

// P(n/2, x/2) is the chi-square distribution of n degrees of freedom; its critical
// values are those of the NIST/SEMATECH e-Handbook of Statistical Methods,
// 1.3.6.7.4.
func TestTheIncompleteGammaFunctionIsThatOfTheTables(t *testing.T) {
	for _, tc := range []struct{ degrees, critical, want float64 }{
		{1, 3.841, 0.95},
		{1, 6.635, 0.99},
		{10, 18.307, 0.95},
		{10, 3.940, 0.05},
		{10, 29.588, 0.999},
		{100, 124.342, 0.95},
		{100, 77.929, 0.05},
		{100, 149.449, 0.999},
	} {
		if got := math.Exp(logLowerGamma(tc.degrees/2, tc.critical/2)); math.Abs(got-tc.want) > 1e-4 {
			t.Errorf("P(%v/2, %v/2) = %.6f, want %v", tc.degrees, tc.critical, got, tc.want)
		}
	}
	// P(1, x) = 1 - exp(-x), on both sides of where the method changes.
	for _, x := range []float64{1e-6, 0.5, 1.999, 2.001, 30} {
		if got, want := logLowerGamma(1, x), math.Log(-math.Expm1(-x)); math.Abs(got-want) > 1e-13*math.Abs(want)+1e-15 {
			t.Errorf("log P(1, %v) = %v, want %v", x, got, want)
		}
	}
	// As a grows P(a, a) nears 1/2 + 1/(3√(2πa)) (DLMF 8.11.12).
	for _, a := range []float64{1e4, 1e6} {
		want := 0.5 + 1/(3*math.Sqrt(2*math.Pi*a))
		if got := math.Exp(logLowerGamma(a, a)); math.Abs(got-want) > 1e-7 {
			t.Errorf("P(%v, %[1]v) = %.9f, want %.9f", a, got, want)
		}
	}
}

// half is an experiment of two variants with one weight.
func half(expected float64, planned uint64) *channelv1.Experiment {
	return &channelv1.Experiment{
		Variants:  []*channelv1.Variant{{VariantId: "a", Weight: 1}, {VariantId: "b", Weight: 1}},
		ErrorRate: 0.05, ExpectedRate: expected, PlannedVisitors: planned,
	}
}

// simulated is an experiment that is looked at after every visitor.
type simulated struct {
	experiment *channelv1.Experiment
	visitors   int
	// rate is the chance of the outcome for the i-th visitor, with the variant.
	rate func(i, variant int) float64
}

// run plays the experiment, and tells what each look finds, until look says that
// it is enough.
func (s simulated) run(random *rand.Rand, look func(n int, tallies [2]Tally) (enough bool)) {
	share := newPair(s.experiment, 1).share
	var tallies [2]Tally
	for i := range s.visitors {
		variant := 0
		if random.Float64() < share {
			variant = 1
		}
		tallies[variant].Finished++
		if random.Float64() < s.rate(i, variant) {
			tallies[variant].Outcomes++
		}
		if look(i+1, tallies) {
			return
		}
	}
}

// finds tells whether the sequence leaves 0 out. It is Compare's verdict without
// the work of finding the interval's ends.
func (p pair) finds(tallies [2]Tally) bool {
	_, s, v := p.sums(tallies[0], tallies[1])
	s = math.Abs(s)
	return s >= leastBound(v, p.alpha) && p.mixture.log(s, v) >= -math.Log(p.alpha)
}

// fixedSampleFinds tells whether the interval of the textbooks, which is meant for
// one look at a number of visitors that was fixed before, leaves 0 out (two
// proportions, pooled, at 95%). It is spared the first hundred visitors.
func fixedSampleFinds(tallies [2]Tally) bool {
	a, b := tallies[0], tallies[1]
	na, nb := float64(a.Finished), float64(b.Finished)
	if na+nb < 100 || na == 0 || nb == 0 {
		return false
	}
	pooled := float64(a.Outcomes+b.Outcomes) / (na + nb)
	deviation := math.Sqrt(pooled * (1 - pooled) * (1/na + 1/nb))
	return math.Abs(float64(b.Outcomes)/nb-float64(a.Outcomes)/na) > 1.959964*deviation
}

const experiments = 1000

func TestWhoLooksAfterEveryVisitorIsRarelyMisled(t *testing.T) {
	constant := func(rate float64) func(int, int) float64 { return func(int, int) float64 { return rate } }
	lopsided := half(0.1, 2000)
	lopsided.Variants[0].Weight = 4
	for name, s := range map[string]simulated{
		"one in ten, as expected":   {half(0.1, 2000), 2000, constant(0.1)},
		"one in ten, half expected": {half(0.5, 2000), 2000, constant(0.1)},
		"one in two, few expected":  {half(0.02, 2000), 2000, constant(0.5)},
		"one visitor in five":       {lopsided, 2000, constant(0.1)},
		"a rate that comes and goes": {half(0.2, 2000), 2000, func(i, _ int) float64 {
			return 0.2 + 0.15*math.Sin(float64(i)/100)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			p := newPair(s.experiment, 1)
			alarms, peeked := 0, 0
			for range experiments {
				found, foundFixed := false, false
				s.run(random, func(_ int, tallies [2]Tally) bool {
					found = found || p.finds(tallies)
					foundFixed = foundFixed || fixedSampleFinds(tallies)
					return found && foundFixed
				})
				if found {
					alarms++
				}
				if foundFixed {
					peeked++
				}
			}
			t.Logf("false alarms in %d experiments of %d visitors: %d of the sequence, %d of the fixed sample's interval", experiments, s.visitors, alarms, peeked)
			if alarms > experiments/20 {
				t.Errorf("the sequence raised %d false alarms in %d experiments: more than 5%%", alarms, experiments)
			}
			if peeked < experiments/5 {
				t.Errorf("the fixed sample's interval raised %d false alarms only: the test would see no difference", peeked)
			}
		})
	}
}

func TestADifferenceIsFound(t *testing.T) {
	s := simulated{half(0.1, 5000), 20_000, func(_, variant int) float64 { return 0.1 + 0.04*float64(variant) }}
	p := newPair(s.experiment, 1)
	random := rand.New(rand.NewPCG(3, 4))
	const runs = 200
	found, sum := 0, 0
	for range runs {
		s.run(random, func(n int, tallies [2]Tally) bool {
			if !p.finds(tallies) {
				return false
			}
			if d := Compare(s.experiment, tallies[:])[1]; d.GetVerdict() != channelv1.Verdict_VERDICT_MORE {
				t.Errorf("after %d visitors the verdict is %s", n, d.GetVerdict())
			}
			found, sum = found+1, sum+n
			return true
		})
	}
	t.Logf("10%% against 14%%: found in %d of %d experiments, after %d visitors on average", found, runs, sum/max(1, found))
	if found < runs {
		t.Errorf("found in %d of %d experiments", found, runs)
	}
}

func TestTheIntervalHoldsTheDifferenceAtAllTimes(t *testing.T) {
	const difference = 0.05
	s := simulated{half(0.1, 2000), 4000, func(_, variant int) float64 { return 0.1 + difference*float64(variant) }}
	random := rand.New(rand.NewPCG(5, 6))
	missed, last := 0, 0.0
	for range experiments {
		missing, next := false, 1
		s.run(random, func(n int, tallies [2]Tally) bool {
			if n < next {
				return false
			}
			next = n + 1 + n/20
			d := Compare(s.experiment, tallies[:])[1]
			if d == nil {
				return false
			}
			missing = missing || d.GetLower() > difference || d.GetUpper() < difference
			last = d.GetUpper() - d.GetLower()
			return missing
		})
		if missing {
			missed++
		}
	}
	t.Logf("the difference was out of the interval at some time in %d of %d experiments; width at the end %.3f", missed, experiments, last)
	if missed > experiments/20 {
		t.Errorf("missed in %d of %d experiments: more than 5%%", missed, experiments)
	}
	if last > 0.1 {
		t.Errorf("after %d visitors the interval is %.3f wide: it would tell nothing", s.visitors, last)
	}
}

func TestTheVerdictIsWhetherTheIntervalLeavesZeroOut(t *testing.T) {
	s := simulated{half(0.3, 1000), 3000, func(_, variant int) float64 { return 0.3 - 0.1*float64(variant) }}
	p := newPair(s.experiment, 1)
	seen := map[channelv1.Verdict]bool{}
	s.run(rand.New(rand.NewPCG(7, 8)), func(n int, tallies [2]Tally) bool {
		if tallies[0].Finished == 0 || tallies[1].Finished == 0 {
			return false
		}
		d := Compare(s.experiment, tallies[:])[1]
		out := d.GetLower() > 0 || d.GetUpper() < 0
		if decided := d.GetVerdict() != channelv1.Verdict_VERDICT_UNDECIDED; decided != out || decided != p.finds(tallies) {
			t.Errorf("after %d visitors: %s of %v, found %t", n, d.GetVerdict(), d, p.finds(tallies))
		}
		seen[d.GetVerdict()] = true
		return false
	})
	if !seen[channelv1.Verdict_VERDICT_LESS] || !seen[channelv1.Verdict_VERDICT_UNDECIDED] || seen[channelv1.Verdict_VERDICT_MORE] {
		t.Errorf("verdicts: %v", seen)
	}
}

// A third variant is held against the first, too, and the error rate is shared.
func TestSeveralVariantsShareTheErrorRate(t *testing.T) {
	two, three := half(0.1, 1000), half(0.1, 1500)
	three.Variants = append(three.Variants, &channelv1.Variant{VariantId: "c", Weight: 1})
	tallies := []Tally{{Finished: 500, Outcomes: 50}, {Finished: 500, Outcomes: 60}, {Finished: 500, Outcomes: 60}}
	of2, of3 := Compare(two, tallies[:2]), Compare(three, tallies)
	if of2[0] != nil || of3[0] != nil {
		t.Error("the first is held against itself")
	}
	width := func(d *channelv1.Difference) float64 { return d.GetUpper() - d.GetLower() }
	if width(of3[1]) <= width(of2[1]) || width(of3[1]) != width(of3[2]) {
		t.Errorf("widths: %v of two, %v and %v of three", width(of2[1]), width(of3[1]), width(of3[2]))
	}
	if got := of2[1].GetEstimate(); math.Abs(got-0.02) > 1e-12 {
		t.Errorf("estimate: %v", got)
	}
	if d := Compare(two, make([]Tally, 2)); d[1] != nil {
		t.Errorf("of nobody: %v", d[1])
	}
}
