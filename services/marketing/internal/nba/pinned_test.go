package nba

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"testing"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// What the second model decides has not changed by a bit since it was current, though
// the learner has one more weight by now: the sum is over 500 decisions that it made
// then.
func TestTheSecondModelDecidesAsItDidThen(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 26))
	sum := sha256.New()
	for range 500 {
		f := Features{Contact: "c", Customer: "anna", Channel: "CHANNEL_WEBSITE", Interests: []string{"a"}}
		f.Arbitration.Exploration = marketingv1.Exploration_EXPLORATION_THOMPSON.String()
		for i := range 4 {
			o := Offered{
				ID: string(rune('a' + i)), Topic: string(rune('a' + i)), HasContent: true, ValueCents: random.Int64N(10000), Lever: random.Float64() * 2,
				BasePropensity: random.Float64(), Situation: Situation(random.IntN(8)),
			}
			for s := range 8 {
				n := random.Uint64N(200)
				o.Learned = append(o.Learned, Tally{Situation(s), n, random.Uint64N(n + 1)})
			}
			f.Propositions = append(f.Propositions, o)
		}
		for _, c := range models["2"].Decide(f, random.Uint64()).Candidates {
			for _, x := range []float64{
				c.GetPropensity(), c.GetPriority(), c.GetLearnedRate(), c.GetLearnedLow(), c.GetLearnedHigh(), c.GetFirstProbability(), c.GetFirstProbabilityError(),
			} {
				var bits [8]byte
				for i := range bits {
					bits[i] = byte(math.Float64bits(x) >> (8 * i))
				}
				sum.Write(bits[:])
			}
		}
	}
	const then = "b1e98ae081077b94af7961a5ee3331a5dd5d76c86f0deeb99404b249ee19de51"
	if got := hex.EncodeToString(sum.Sum(nil)); got != then {
		t.Errorf("the decisions come to %s, and came to %s", got, then)
	}
}
