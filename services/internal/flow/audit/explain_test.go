package audit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/flow/audit"
)

const enough = 500_000

func idsOf(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
	}
	return ids
}

func chainOf(ids ...uuid.UUID) (c audit.Chain) {
	for _, id := range ids {
		c = c.Next(id)
	}
	return c
}

func TestExplainFindsTheSimplestHistory(t *testing.T) {
	ids := idsOf(6)
	pick := func(order ...int) (some []uuid.UUID) {
		for _, i := range order {
			some = append(some, ids[i])
		}
		return some
	}
	for what, tc := range map[string]struct {
		history []uuid.UUID
		want    audit.Explanation
	}{
		"the last is missing":               {pick(0, 1, 2, 3, 4), audit.Explanation{Kind: audit.Missing, First: 5, Events: 1}},
		"all are missing":                   {nil, audit.Explanation{Kind: audit.Missing, First: 0, Events: 6}},
		"the first is missing":              {pick(1, 2, 3, 4, 5), audit.Explanation{Kind: audit.Missing, First: 0, Events: 1}},
		"a run in the middle is missing":    {pick(0, 4, 5), audit.Explanation{Kind: audit.Missing, First: 1, Events: 3}},
		"one is there twice, at once":       {pick(0, 1, 1, 2, 3, 4, 5), audit.Explanation{Kind: audit.Twice, First: 1, Events: 1}},
		"one is there twice, later":         {pick(0, 1, 2, 3, 1, 4, 5), audit.Explanation{Kind: audit.Twice, First: 1, Events: 1}},
		"all are there twice":               {pick(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5), audit.Explanation{Kind: audit.Twice, First: 0, Events: 6}},
		"two neighbours are swapped":        {pick(0, 2, 1, 3, 4, 5), audit.Explanation{Kind: audit.OutOfOrder, First: 1, Events: 1}},
		"a run comes last":                  {pick(0, 3, 4, 5, 1, 2), audit.Explanation{Kind: audit.OutOfOrder, First: 1, Events: 2}},
		"one comes last that was the first": {pick(1, 2, 3, 4, 5, 0), audit.Explanation{Kind: audit.OutOfOrder, First: 0, Events: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			if got, ok := audit.Explain(ids, chainOf(tc.history...), enough); !ok || got != tc.want {
				t.Errorf("got %+v %v, want %+v", got, ok, tc.want)
			}
		})
	}
	for what, history := range map[string][]uuid.UUID{
		"they come backwards":            pick(5, 4, 3, 2, 1, 0),
		"one is not of the key":          append(pick(0, 1, 2, 3, 4, 5), uuid.New()),
		"two runs apart from each other": pick(0, 2, 3, 5),
	} {
		if got, ok := audit.Explain(ids, chainOf(history...), enough); ok {
			t.Errorf("%s: explained by %+v", what, got)
		}
	}
}

// Whatever run is at fault, what is found makes the same chain, and is no longer
// than what was planted.
func TestExplainFindsWhatWasPlanted(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		ids := idsOf(1 + random.IntN(24))
		first := random.IntN(len(ids))
		end := first + 1 + random.IntN(len(ids)-first)
		planted := audit.Explanation{Kind: audit.Kind(random.IntN(3)), First: first, Events: end - first}
		later := end + random.IntN(len(ids)-end+1)
		history := play(ids, planted, later)
		if slices.Equal(history, ids) {
			continue // late by nothing
		}
		got, ok := audit.Explain(ids, chainOf(history...), 10*enough)
		if !ok {
			t.Fatalf("seed %d: %+v of %d, behind %d, is not found", seed, planted, len(ids), later)
		}
		if !slices.ContainsFunc(places(ids), func(later int) bool { return slices.Equal(play(ids, got, later), history) }) {
			t.Errorf("seed %d: %+v was found, which does not make the history of %+v", seed, got, planted)
		}
	}
}

func places(ids []uuid.UUID) (all []int) {
	for i := range len(ids) + 1 {
		all = append(all, i)
	}
	return all
}

// play makes the history that an explanation tells; what comes again or late
// comes before the event of the place later.
func play(ids []uuid.UUID, e audit.Explanation, later int) []uuid.UUID {
	end := e.First + e.Events
	run := ids[e.First:end]
	later = max(later, end)
	before := slices.Clone(ids[:e.First])
	switch e.Kind {
	case audit.Missing:
		return append(before, ids[end:]...)
	case audit.Twice:
		return slices.Concat(ids[:later], run, ids[later:])
	default:
		return slices.Concat(before, ids[end:later], run, ids[later:])
	}
}

// The search ends, however long the history.
func TestExplainGivesUp(t *testing.T) {
	ids := idsOf(2000)
	if got, ok := audit.Explain(ids, audit.Chain{1}, 100_000); ok {
		t.Errorf("a chain of nothing was explained by %+v", got)
	}
	if got, ok := audit.Explain(ids, chainOf(ids[:700]...), 100_000); !ok || got.Events != 1300 {
		t.Errorf("got %+v %v, want the last 1300 events missing", got, ok)
	}
}
