package sidebyside

import (
	"math"
	"slices"
)

// Quartiles are what is said of values that were measured in several rounds:
// the middle one, and the two between which the middle half lies.
type Quartiles struct {
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
}

// QuartilesOf returns the quartiles of values, in any order; NaN when there
// are none.
func QuartilesOf(values []float64) Quartiles {
	sorted := slices.Sorted(slices.Values(values))
	return Quartiles{Q1: quantile(sorted, 0.25), Median: quantile(sorted, 0.5), Q3: quantile(sorted, 0.75)}
}

// quantile interpolates between the two values that are next to the place
// where share q of them lies below.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// RatiosByRound divides what was measured in the same round: whatever slowed
// the machine in a round slowed both.
func RatiosByRound(of, to []float64) []float64 {
	ratios := make([]float64, min(len(of), len(to)))
	for i := range ratios {
		ratios[i] = of[i] / to[i]
	}
	return ratios
}

// order is the order in which n contenders run in a round. It begins one
// further each round and turns about every other one, so that nobody has
// always the same one before it, whose clearing up it would run beside.
func order(n, round int) []int {
	turn := make([]int, n)
	for i := range turn {
		turn[i] = (i + round) % n
	}
	if round%2 == 1 {
		slices.Reverse(turn)
	}
	return turn
}
