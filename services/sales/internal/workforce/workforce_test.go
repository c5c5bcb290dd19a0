package workforce

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// near tells whether a number is one that was published, rounded to so many
// decimals.
func near(got, published float64, decimals int) bool {
	return math.Abs(got-published) <= 0.5000001*math.Pow10(-decimals)
}

// The service level of published examples of Erlang C.
func TestCallsThatWaitAgreeWithPublishedExamples(t *testing.T) {
	for name, tc := range map[string]struct {
		load     float64
		handling time.Duration
		agents   int
		within   time.Duration

		waiting, level, occupancy float64 // in per cent, to one decimal
		meanWait                  float64 // in seconds, to one decimal; 0 where none was published
	}{
		"10 erlang, 14 agents": {10, 180 * time.Second, 14, 20 * time.Second, 17.4, 88.8, 71.4, 7.8},
		"10 erlang, 11 agents": {10, 180 * time.Second, 11, 20 * time.Second, 68.2, 39.0, 90.9, 0},
		// The worked example of M. Tanner, "The Erlang-C Formula": 360 calls in half
		// an hour, of four minutes each.
		"48 erlang, 55 agents": {Load(720, 4*time.Minute), 4 * time.Minute, 55, 15 * time.Second, 23.9, 84.6, 87.3, 8.2},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Queue{tc.load, tc.handling, tc.agents}.Answering()
			if err != nil {
				t.Fatal(err)
			}
			if !near(100*a.Waiting, tc.waiting, 1) || !near(100*a.ServiceLevel(tc.within), tc.level, 1) || !near(100*a.Occupancy(), tc.occupancy, 1) {
				t.Errorf("%.2f %% wait, %.2f %% are answered in time, %.2f %% busy; published: %v, %v, %v",
					100*a.Waiting, 100*a.ServiceLevel(tc.within), 100*a.Occupancy(), tc.waiting, tc.level, tc.occupancy)
			}
			if tc.meanWait > 0 && !near(a.MeanWait().Seconds(), tc.meanWait, 1) {
				t.Errorf("the mean wait is %s, want %v s", a.MeanWait(), tc.meanWait)
			}
		})
	}
}

// Loads at which one call in so many is lost, of the tables of Erlang B that
// telephone engineers use.
func TestLostCallsAgreeWithPublishedTables(t *testing.T) {
	for _, tc := range []struct {
		lines    int
		load     float64
		blocked  float64
		decimals int
	}{
		{1, 0.0101, 0.01, 4},
		{2, 0.153, 0.01, 3},
		{5, 1.361, 0.01, 4},
		{10, 4.461, 0.01, 5},
		{15, 8.108, 0.01, 5},
		{20, 12.031, 0.01, 5},
		{50, 37.901, 0.01, 5},
		{100, 84.064, 0.01, 5},
		{30, 25, 0.05, 2},
		{10, 10, 0.2146, 4},
	} {
		if got := Blocked(tc.load, tc.lines); !near(got, tc.blocked, tc.decimals) {
			t.Errorf("%v erlang on %d lines: %.6f are lost, want %v", tc.load, tc.lines, got, tc.blocked)
		}
	}
}

func TestAgentsThatAreNeeded(t *testing.T) {
	level := Target{Share: 0.8, Within: 20 * time.Second}
	for name, tc := range map[string]struct {
		load   float64
		agents int
		want   int
		err    error
	}{
		"none for no calls":        {0, 0, 0, nil},
		"13 answer less than 80 %": {10, 20, 14, nil},
		"as many as there are":     {10, 14, 14, nil},
		"too few":                  {10, 13, 0, ErrTooFew},
		"as much load as agents":   {10, 10, 0, ErrUnstable},
		"more load than agents":    {10, 9, 0, ErrUnstable},
		"nobody there":             {0.1, 0, 0, ErrUnstable},
		"a load that is no number": {math.NaN(), 5, 0, ErrUnstable},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Needed(tc.load, 180*time.Second, level, tc.agents); got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("needed: %d, %v; want %d, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

// exact is Erlang B by its definition, in rational numbers: no rounding at all.
func exact(load *big.Rat, agents int) *big.Rat {
	term, sum := big.NewRat(1, 1), big.NewRat(1, 1)
	for n := 1; n <= agents; n++ {
		term = new(big.Rat).Mul(term, new(big.Rat).Quo(load, big.NewRat(int64(n), 1)))
		sum = new(big.Rat).Add(sum, term)
	}
	return new(big.Rat).Quo(term, sum)
}

// The recursion against the definition, computed without rounding.
func TestTheRecursionAgreesWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eighths := rapid.Int64Range(1, 800).Draw(t, "eighths of an erlang")
		agents := rapid.IntRange(0, 120).Draw(t, "agents")
		want, _ := exact(big.NewRat(eighths, 8), agents).Float64()
		if got := Blocked(float64(eighths)/8, agents); math.Abs(got-want) > 1e-12*want {
			t.Fatalf("%d/8 erlang, %d agents: %v, by the definition %v", eighths, agents, got, want)
		}
	})
}

func TestMoreAgentsAnswerSoonerAndMoreLoadLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agents := rapid.IntRange(1, 2000).Draw(t, "agents")
		load := rapid.Float64Range(1e-6, 1).Draw(t, "share") * float64(agents) * 0.999
		within := time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "within"))
		handling := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "handling"))
		at := func(load float64, agents int) Answering {
			a, err := Queue{load, handling, agents}.Answering()
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		a, more, busier := at(load, agents), at(load, agents+1), at(load*1.0005, agents)
		switch blocked := Blocked(load, agents); {
		case a.Waiting < 0 || a.Waiting > 1 || blocked < 0 || blocked > 1:
			t.Fatalf("no probability: waits %v, is lost %v", a.Waiting, blocked)
		case blocked > a.Waiting:
			t.Fatalf("%v are lost where none may wait, and only %v wait where all may", blocked, a.Waiting)
		case more.Waiting > a.Waiting || more.ServiceLevel(within) < a.ServiceLevel(within) || more.MeanWait() > a.MeanWait():
			t.Fatalf("one more agent makes it worse: %+v, %+v", a, more)
		case busier.Waiting < a.Waiting || busier.ServiceLevel(within) > a.ServiceLevel(within) || busier.MeanWait() < a.MeanWait():
			t.Fatalf("more calls make it better: %+v, %+v", a, busier)
		}
	})
}

// The least number of agents meets the target, and one less does not.
func TestNeededIsTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		load := rapid.Float64Range(0.01, 300).Draw(t, "load")
		target := Target{Share: rapid.Float64Range(0.01, 0.99).Draw(t, "share"), Within: time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "within"))}
		n, err := Needed(load, 3*time.Minute, target, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Needed(load, 3*time.Minute, target, n-1); err == nil {
			t.Fatalf("%d agents are needed, and one less is enough", n)
		}
		if again, err := Needed(load, 3*time.Minute, target, n); err != nil || again != n {
			t.Fatalf("%d agents are needed, and they are not enough: %v", n, err)
		}
	})
}
