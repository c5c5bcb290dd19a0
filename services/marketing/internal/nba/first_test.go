package nba

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

// oneBelow is the definition: the probability that a contender's priority is at most
// so much.
func (c contender) oneBelow(priority float64) float64 {
	if priority >= c.weight {
		return 1
	}
	return normal((logit(priority/c.weight) - c.mean) / c.deviation)
}

// Decisions of old are replayed for ever: that nothing is computed where nothing is
// in doubt, and that steps are taken together, changes no bit of what comes out. Not
// where beliefs are so far out that rates are rounded to 0 or 1, nor where
// priorities meet the very bounds.
func TestProbabilitiesOfManyAreThoseOfEachByItself(t *testing.T) {
	pgtest.Once(t)
	luck := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		n := 1 + luck.IntN(20)
		all := make([]contender, n)
		spread, width := math.Exp(2*luck.NormFloat64()), math.Exp(2*luck.NormFloat64())
		for i := range all {
			all[i] = contender{belief{spread * luck.NormFloat64(), width * (0.01 + luck.Float64())}, math.Exp(luck.NormFloat64())}
		}
		grid := gridOf(all, 256)
		for _, c := range all {
			grid = append(grid, 1e-300, c.weight, c.priority(certain), c.priority(-certain), c.priority(7), c.priority(-7))
		}
		grid = slices.DeleteFunc(grid, func(priority float64) bool { return priority == 0 }) // no rate is 0, but for rounding
		slices.Sort(grid)
		got := make([]float64, len(grid))
		for _, c := range all {
			c.below(grid, got)
			for i, priority := range grid {
				if want := c.oneBelow(priority); math.Float64bits(got[i]) != math.Float64bits(want) {
					t.Fatalf("%+v is below %v with %v, want %v", c, priority, got[i], want)
				}
			}
		}
	}
}

// BenchmarkFirsts is most of what a decision computes: where all may come first, and
// where few of them may.
func BenchmarkFirsts(b *testing.B) {
	for _, spread := range []float64{0.3, 6} {
		luck := rand.New(rand.NewPCG(1, 1))
		all := make([]contender, 100)
		for i := range all {
			all[i] = contender{belief{spread*luck.NormFloat64() - 2, 0.2 + luck.Float64()}, 10 + 10*luck.Float64()}
		}
		b.Run(fmt.Sprint("log-odds apart by ", spread), func(b *testing.B) {
			for b.Loop() {
				firsts(all, 256)
			}
		})
	}
}
