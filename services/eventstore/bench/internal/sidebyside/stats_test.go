package sidebyside

import (
	"math"
	"slices"
	"testing"
)

func TestQuartilesOf(t *testing.T) {
	cases := map[string]struct {
		values []float64
		want   Quartiles
	}{
		"one value":               {[]float64{7}, Quartiles{7, 7, 7}},
		"two: between them":       {[]float64{10, 20}, Quartiles{12.5, 15, 17.5}},
		"five: values themselves": {[]float64{1, 2, 3, 4, 5}, Quartiles{2, 3, 4}},
		"in any order":            {[]float64{5, 1, 4, 2, 3}, Quartiles{2, 3, 4}},
		"four":                    {[]float64{1, 2, 3, 4}, Quartiles{1.75, 2.5, 3.25}},
		"one that is far off":     {[]float64{1, 2, 3, 4, 1e9}, Quartiles{2, 3, 4}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(tc.values)
			if got := QuartilesOf(tc.values); got != tc.want {
				t.Errorf("quartiles of %v: %v, want %v", tc.values, got, tc.want)
			}
			if !slices.Equal(before, tc.values) {
				t.Errorf("the values were turned into %v", tc.values)
			}
		})
	}
	if got := QuartilesOf(nil); !math.IsNaN(got.Median) {
		t.Errorf("the median of nothing is %v, want none", got.Median)
	}
}

// A machine that halves its speed in one round doesn't change the ratio of
// those who ran in it; the ratio of the medians would change.
func TestRatiosByRoundBearASlowRound(t *testing.T) {
	of, to := []float64{20, 10, 20, 5}, []float64{10, 5, 10, 2.5}
	if got := RatiosByRound(of, to); !slices.Equal(got, []float64{2, 2, 2, 2}) {
		t.Errorf("ratios are %v, want 2 in each round", got)
	}
}

func TestOrderGivesEverybodyEveryPlaceAndTwoPredecessors(t *testing.T) {
	const n, rounds = 5, 10
	places, before := map[[2]int]int{}, map[[2]int]bool{}
	for round := range rounds {
		turn := order(n, round)
		if sorted := slices.Sorted(slices.Values(turn)); !slices.Equal(sorted, []int{0, 1, 2, 3, 4}) {
			t.Fatalf("round %d runs %v", round, turn)
		}
		for place, i := range turn {
			places[[2]int{i, place}]++
			if place > 0 {
				before[[2]int{turn[place-1], i}] = true
			}
		}
	}
	for i := range n {
		for place := range n {
			if places[[2]int{i, place}] == 0 {
				t.Errorf("contender %d never runs at place %d", i, place)
			}
		}
	}
	if len(before) != 2*n {
		t.Errorf("%d pairs run one after the other, want %d", len(before), 2*n)
	}
}
