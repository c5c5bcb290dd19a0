package nba

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

// game is a bandit: propositions that are worth the same, whose rates follow from
// weights that nobody knows, and visitors who come in situations.
type game struct {
	customers []customers // by proposition
	seen      [][]Tally
	beliefs   [][]*belief // by proposition and situation, as long as they hold
	visitors  *rand.Rand
	base      float64
}

func newGame(seed uint64, propositions int, base float64) *game {
	g := &game{visitors: rand.New(rand.NewPCG(seed, 1)), base: base}
	luck := rand.New(rand.NewPCG(seed, 2))
	for range propositions {
		c := customers{Rand: luck}
		c.weights = c.drawn(base)
		g.customers, g.seen = append(g.customers, c), append(g.seen, noTallies())
		g.beliefs = append(g.beliefs, make([]*belief, 1<<(weights-1)))
	}
	return g
}

func (g *game) rate(proposition int, s Situation) float64 {
	return logistic(s.vector().dot(g.customers[proposition].weights))
}

func (g *game) best(s Situation) float64 {
	best := 0.0
	for i := range g.customers {
		best = max(best, g.rate(i, s))
	}
	return best
}

// features are what a decision would look at.
func (g *game) features(s Situation, exploration marketingv1.Exploration) Features {
	f := Features{Customer: "anna", Arbitration: Rules{Exploration: exploration.String()}}
	for i, tallies := range g.seen {
		o := Offered{ID: name(i), HasContent: true, ValueCents: 100, Lever: 1, BasePropensity: g.base, Situation: s}
		for _, t := range tallies {
			if t.Presented > 0 {
				o.Learned = append(o.Learned, t)
			}
		}
		f.Propositions = append(f.Propositions, o)
	}
	return f
}

func chosen(d Decision) int {
	return slices.Index(d.Candidates, d.List[0])
}

// know is what the learner makes of what was seen.
func (g *game) know(proposition int, s Situation) belief {
	if g.beliefs[proposition][s] == nil {
		b := learner.learn(g.base, g.seen[proposition], s)
		g.beliefs[proposition][s] = &b
	}
	return *g.beliefs[proposition][s]
}

// highest is the proposition of the highest value.
func (g *game) highest(value func(proposition int) float64) (best int) {
	highest := math.Inf(-1)
	for i := range g.seen {
		if v := value(i); v > highest {
			best, highest = i, v
		}
	}
	return best
}

// policies choose a proposition in a game. They choose as decisions do (see the
// test for that), without making each decision anew.
var policies = map[string]func(g *game, s Situation, seed uint64) int{
	"thompson": func(g *game, s Situation, seed uint64) int {
		return g.highest(func(i int) float64 { return g.know(i, s).rate(newChance(seed, name(i)).normal()) })
	},
	"epsilon-greedy": func(g *game, s Situation, seed uint64) int {
		if luck := newChance(seed, "epsilon"); luck.uniform() < 0.1 {
			return int(luck.uniform() * float64(len(g.seen)))
		}
		return g.highest(func(i int) float64 { return g.know(i, s).rate(0) })
	},
	"random": func(g *game, _ Situation, seed uint64) int {
		return int(newChance(seed, "random").uniform() * float64(len(g.seen)))
	},
}

func name(proposition int) string { return fmt.Sprintf("p%03d", proposition) }

// regret plays a game for some rounds, with visitors in so many situations, and
// returns by how much less is accepted than of the best propositions.
func (g *game) regret(policy func(*game, Situation, uint64) int, rounds, situations int) (regret float64) {
	for range rounds {
		s := Situation(g.visitors.IntN(situations))
		i := policy(g, s, g.visitors.Uint64())
		regret += g.best(s) - g.rate(i, s)
		g.tell(i, s, g.visitors.Float64() < g.rate(i, s))
	}
	return regret
}

func (g *game) tell(proposition int, s Situation, accepted bool) {
	tell(g.seen[proposition], s, accepted)
	clear(g.beliefs[proposition])
}

// The games' policies are what decisions do.
func TestGamesArePlayedAsDecisionsAreMade(t *testing.T) {
	pgtest.Once(t)
	g := newGame(1, 5, 0.2)
	for range 200 {
		s, seed := Situation(g.visitors.IntN(8)), g.visitors.Uint64()
		i := policies["thompson"](g, s, seed)
		if want := chosen(current.Decide(g.features(s, marketingv1.Exploration_EXPLORATION_THOMPSON), seed)); i != want {
			t.Fatalf("a game chooses %d where a decision chooses %d", i, want)
		}
		if d := current.Decide(g.features(s, marketingv1.Exploration_EXPLORATION_OFF), seed); d.List[0].GetFirstProbability() != 1 {
			t.Errorf("what is not drawn comes first with %v", d.List[0].GetFirstProbability())
		} else if want := g.highest(func(i int) float64 { return g.know(i, s).rate(0) }); chosen(d) != want {
			t.Fatalf("a game would choose %d where a decision chooses %d", want, chosen(d))
		}
		g.tell(i, s, g.visitors.Float64() < g.rate(i, s))
	}
}

type moments struct{ n, sum, squares float64 }

func (m *moments) add(x float64) { m.n, m.sum, m.squares = m.n+1, m.sum+x, m.squares+x*x }

func (m *moments) mean() float64 { return m.sum / m.n }

// deviation is that of the mean.
func (m *moments) deviation() float64 {
	return math.Sqrt((m.squares/m.n - m.mean()*m.mean()) / (m.n - 1))
}

// Thompson sampling's expected regret over k arms and n rounds, with rewards from 0
// to 1 and rates drawn from the prior, is at most the square root of k·H·n/2, with H
// the entropy of which arm is best, which is at most ln k (Russo and Van Roy, An
// Information-Theoretic Analysis of Thompson Sampling, JMLR 17, 2016, proposition
// 3). Over several situations the bound holds for each by itself, and so for their
// sum; what is learned in one serves the others, too.
func TestRegretStaysUnderTheKnownBound(t *testing.T) {
	pgtest.Once(t)
	const arms, rounds, runs = 10, 6000, 12
	for _, situations := range []int{1, 8} {
		bound := float64(situations) * math.Sqrt(arms*math.Log(arms)*rounds/float64(situations)/2)
		regrets, worse := map[string]*moments{}, map[string]*moments{}
		for name := range policies {
			regrets[name], worse[name] = &moments{}, &moments{}
		}
		for run := range runs {
			play := func(name string) float64 { // the same game for each
				return newGame(uint64(run), arms, 0.2).regret(policies[name], rounds, situations)
			}
			thompson := play("thompson")
			for name := range policies {
				regret := thompson
				if name != "thompson" {
					regret = play(name)
				}
				regrets[name].add(regret)
				worse[name].add(regret - thompson)
			}
		}
		for name, regret := range regrets {
			t.Logf("%d situations, %d rounds: %-14s regret %6.1f ± %.1f in %d games, %6.1f ± %.1f more than thompson's (bound %.1f)",
				situations, rounds, name, regret.mean(), regret.deviation(), runs, worse[name].mean(), worse[name].deviation(), bound)
			if name == "thompson" && regret.mean() >= bound {
				t.Errorf("%d situations: the regret is %v, above its bound %v", situations, regret.mean(), bound)
			}
			if name != "thompson" && worse[name].mean() <= 2*worse[name].deviation() {
				t.Errorf("%d situations: %s is not clearly worse than thompson: by %v ± %v", situations, name, worse[name].mean(), worse[name].deviation())
			}
		}
	}
}

// Of two propositions of one weight, the probability that one comes before the
// other is known (Thurstone, A Law of Comparative Judgment, 1927).
func TestFirstOfTwoIsThurstonesLaw(t *testing.T) {
	pgtest.Once(t)
	luck := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		a := contender{belief{luck.NormFloat64(), 0.05 + luck.Float64()}, 3}
		b := contender{belief{luck.NormFloat64(), 0.05 + luck.Float64()}, 3}
		want := normal((a.mean - b.mean) / math.Hypot(a.deviation, b.deviation))
		got := firsts([]contender{a, b}, 512)
		for i, want := range []float64{want, 1 - want} {
			if off := math.Abs(got[i].probability - want); off > got[i].error+1e-12 || got[i].error > 0.02 || off > 1e-4 {
				t.Errorf("%v before %v with %v ± %v, want %v", a, b, got[i].probability, got[i].error, want)
			}
		}
	}
}

// However many there are, the probabilities add up to 1 within their errors; alike
// ones are as likely; and they are what comes of many draws.
func TestFirstProbabilitiesAreThoseOfTheDraws(t *testing.T) {
	pgtest.Once(t)
	luck := rand.New(rand.NewPCG(2, 2))
	for _, n := range []int{1, 3, 10, 100} {
		var alike, mixed []contender
		for range n {
			alike = append(alike, contender{belief{-1, 0.5}, 2})
			mixed = append(mixed, contender{belief{luck.NormFloat64() - 2, 0.05 + luck.Float64()}, math.Exp(luck.NormFloat64())})
		}
		for i, e := range firsts(alike, 512) {
			if math.Abs(e.probability-1/float64(n)) > e.error+1e-12 {
				t.Errorf("%d of %d alike comes first with %v ± %v", i, n, e.probability, e.error)
			}
		}
		const draws = 20_000
		won := make([]int, n)
		for range draws {
			best := 0
			for i, highest := 0, 0.0; i < n; i++ {
				if p := mixed[i].priority(luck.NormFloat64()); p > highest {
					best, highest = i, p
				}
			}
			won[best]++
		}
		sum, slack := 0.0, 0.0
		for i, e := range firsts(mixed, 512) {
			sum, slack = sum+e.probability, slack+e.error
			share := float64(won[i]) / draws
			if off := math.Abs(e.probability - share); off > e.error+4*math.Sqrt((share+1.0/draws)/draws) {
				t.Errorf("%d of %d came first in %v of the draws, with %v ± %v", i, n, share, e.probability, e.error)
			}
		}
		if math.Abs(sum-1) > slack+1e-12 {
			t.Errorf("%d probabilities add up to %v ± %v", n, sum, slack)
		}
		t.Logf("%d propositions: probabilities add up to %v ± %v", n, sum, slack)
	}
}

// Weighed by the inverse of the recorded probabilities, what was chosen stands for
// what a policy would choose that offers each proposition as often: the weights
// average 1, and what is accepted averages the mean of all rates (Horvitz and
// Thompson, 1952; Li and others, WSDM 2011).
func TestInversePropensityWeightsAverageOne(t *testing.T) {
	pgtest.Once(t)
	const arms, decisions = 4, 8000
	luck := rand.New(rand.NewPCG(3, 3))
	for _, control := range []float64{0, 1} {
		var weight, value moments
		for n := range decisions {
			g := newGame(uint64(n), arms, 0.2)
			s := Situation(luck.IntN(8))
			mean := 0.0
			for i := range arms {
				mean += g.rate(i, s) / arms
				for range luck.IntN(10) {
					at := Situation(luck.IntN(8))
					g.tell(i, at, luck.Float64() < g.rate(i, at))
				}
			}
			f := g.features(s, marketingv1.Exploration_EXPLORATION_THOMPSON)
			f.Arbitration.ControlShare = control
			d := current.Decide(f, luck.Uint64())
			first := d.List[0]
			w := 1.0 / arms / first.GetFirstProbability()
			weight.add(w)
			value.add(w*g.rate(chosen(d), s) - mean)
		}
		t.Logf("control share %v: %d weights average %.4f ± %.4f, and another policy's value is off by %.4f ± %.4f",
			control, decisions, weight.mean(), weight.deviation(), value.mean(), value.deviation())
		if off := math.Abs(weight.mean() - 1); off > 3*weight.deviation()+1e-9 || weight.deviation() > 0.02 {
			t.Errorf("the weights average %v ± %v", weight.mean(), weight.deviation())
		}
		if off := math.Abs(value.mean()); off > 3*value.deviation() {
			t.Errorf("the estimate of another policy is off by %v ± %v", value.mean(), value.deviation())
		}
	}
}
