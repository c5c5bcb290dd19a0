package experiment

import (
	"math"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// Tally is what a variant came to.
type Tally struct {
	Exposed  uint64 // visitors
	Finished uint64 // of them: those whose outcome is settled
	Outcomes uint64 // of those
}

// Compare holds each variant against the first one. The result has no difference
// for the first, nor as long as nobody has finished with one of the two.
//
// Each visitor i with one of the two variants gives the deviation
//
//	Z = (Y - m) / p        who was shown the variant, whose share of the two is p
//	Z = -(Y - m) / (1 - p) who was shown the first
//
// where Y is 1 with the outcome and 0 without, and m is the expected rate. As the
// variant is drawn by chance, whatever went before, Z is on average the difference
// of the rates (Horvitz and Thompson, Journal of the American Statistical
// Association 47, 1952), for every m, and also when the rates drift with the hour
// and the season. It is bounded, so the empirical Bernstein confidence sequence
// holds of the mean of Z: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
// nonparametric, nonasymptotic confidence sequences" (Annals of Statistics 49,
// 2021), theorem 4, with 0 as the prediction. It holds at any number of visitors,
// and at all of them together.
//
// One thing is taken for granted: that the time which a contact takes does not
// hang on the variant. It does not where there is no difference, so no difference
// is found then but with a chance of the error rate.
func Compare(e *channelv1.Experiment, tallies []Tally) []*channelv1.Difference {
	differences := make([]*channelv1.Difference, len(tallies))
	for i := 1; i < len(tallies); i++ {
		if tallies[0].Finished > 0 && tallies[i].Finished > 0 {
			differences[i] = newPair(e, i).difference(tallies[0], tallies[i])
		}
	}
	return differences
}

// pair is the comparison of a variant with the first one.
type pair struct {
	share    float64 // of the two, how many visitors are meant to get the variant
	expected float64
	alpha    float64 // the chance of an error on one side
	mixture  mixture
}

// newPair shares the error rate out evenly (Bonferroni): over the variants that
// are held against the first, and over both sides.
func newPair(e *channelv1.Experiment, variant int) pair {
	var total float64
	for _, v := range e.GetVariants() {
		total += float64(v.GetWeight())
	}
	first, other := float64(e.GetVariants()[0].GetWeight()), float64(e.GetVariants()[variant].GetWeight())
	p := pair{
		share: other / (first + other), expected: e.GetExpectedRate(),
		alpha: e.GetErrorRate() / float64(len(e.GetVariants())-1) / 2,
	}
	spread := p.expected * (1 - p.expected) / (p.share * (1 - p.share)) // the mean of Z² without a difference
	planned := float64(e.GetPlannedVisitors()) * (first + other) / total
	p.mixture = newMixture(p.width(), planned*spread, p.alpha)
	return p
}

// width is how far apart two deviations can be.
func (p pair) width() float64 {
	most := max((1-p.expected)/p.share, p.expected/(1-p.share))
	least := min(-p.expected/p.share, -(1-p.expected)/(1-p.share))
	return most - least
}

// sums returns how many visitors there are, the sum of their deviations, and that
// of the squares.
func (p pair) sums(first, variant Tally) (n, s, v float64) {
	n = float64(first.Finished + variant.Finished)
	s = p.deviation(variant)/p.share - p.deviation(first)/(1-p.share)
	v = p.squares(variant)/(p.share*p.share) + p.squares(first)/((1-p.share)*(1-p.share))
	return n, s, v
}

func (p pair) deviation(t Tally) float64 {
	return float64(t.Outcomes) - p.expected*float64(t.Finished)
}

func (p pair) squares(t Tally) float64 {
	with, without := float64(t.Outcomes), float64(t.Finished-t.Outcomes)
	return with*(1-p.expected)*(1-p.expected) + without*p.expected*p.expected
}

func (p pair) difference(first, variant Tally) *channelv1.Difference {
	n, s, v := p.sums(first, variant)
	mean, radius := s/n, p.mixture.bound(v, p.alpha)/n
	d := &channelv1.Difference{
		Estimate: clamp(mean), Lower: clamp(mean - radius), Upper: clamp(mean + radius),
		Verdict: channelv1.Verdict_VERDICT_UNDECIDED,
	}
	switch {
	case mean > radius:
		d.Verdict = channelv1.Verdict_VERDICT_MORE
	case mean < -radius:
		d.Verdict = channelv1.Verdict_VERDICT_LESS
	}
	return d
}

// clamp keeps a difference of two shares where one can be.
func clamp(difference float64) float64 { return math.Max(-1, math.Min(1, difference)) }
