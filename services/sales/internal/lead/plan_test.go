package lead

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	email = journeyv1.Channel_CHANNEL_EMAIL
	print = journeyv1.Channel_CHANNEL_PRINT
)

func grantAt(name string, channel journeyv1.Channel, capacity uint32, hour int, spent ...string) Grant {
	g := Grant{
		Name: name, Channel: channel, Capacity: capacity, Spent: map[string]bool{},
		StartsAt: noon.Add(time.Duration(hour) * time.Hour), EndsAt: noon.Add(time.Duration(hour+1) * time.Hour),
	}
	for _, lead := range spent {
		g.Spent[lead] = true
	}
	return g
}

func TestPlan(t *testing.T) {
	waiting := func(leads ...string) (list []Waiting) {
		for i, id := range leads {
			list = append(list, Waiting{LeadID: id, Channel: email, Priority: uint32(i)})
		}
		return list
	}
	for name, tc := range map[string]struct {
		waiting []Waiting
		grants  []Grant
		want    []string
	}{
		"no grant":                       {waiting("a"), nil, nil},
		"a grant of another channel":     {waiting("a"), []Grant{grantAt("g", print, 5, 0)}, nil},
		"a grant that is over":           {waiting("a"), []Grant{grantAt("g", email, 5, -1)}, nil},
		"a grant that has not begun":     {waiting("a"), []Grant{grantAt("g", email, 5, 1)}, nil},
		"the highest priority first":     {waiting("a", "b", "c"), []Grant{grantAt("g", email, 2, 0)}, []string{"c in g", "b in g"}},
		"what was spent is gone":         {waiting("a", "b"), []Grant{grantAt("g", email, 2, 0, "x")}, []string{"b in g"}},
		"a lead keeps its place":         {waiting("a", "b"), []Grant{grantAt("g", email, 1, 0, "a")}, []string{"a in g"}},
		"one grant after the other":      {waiting("a", "b"), []Grant{grantAt("h", email, 1, 0), grantAt("g", email, 1, 0)}, []string{"b in g", "a in h"}},
		"more was spent than is granted": {waiting("a"), []Grant{grantAt("g", email, 1, 0, "x", "y")}, nil},
		"equal priorities by id":         {[]Waiting{{"b", email, 1}, {"a", email, 1}}, []Grant{grantAt("g", email, 1, 0)}, []string{"a in g"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range Plan(noon, tc.waiting, tc.grants) {
				got = append(got, a.LeadID+" in "+a.Grant.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The plan against a naive twin: take the best lead that has a place, as long as
// there is one.
func TestPlanAgreesWithANaiveTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.SampledFrom([]journeyv1.Channel{email, print})
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})
		waiting := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Waiting {
			return Waiting{LeadID: ids.Draw(t, "lead"), Channel: channels.Draw(t, "channel"), Priority: rapid.Uint32Range(0, 3).Draw(t, "priority")}
		}), 0, 7, func(w Waiting) string { return w.LeadID }).Draw(t, "waiting")
		count := rapid.IntRange(0, 5).Draw(t, "grants")
		var grants []Grant
		for i := range count {
			spent := rapid.SliceOfNDistinct(ids, 0, 3, rapid.ID).Draw(t, "spent")
			grants = append(grants, grantAt(fmt.Sprint("g", i), channels.Draw(t, "channel"),
				rapid.Uint32Range(0, 4).Draw(t, "capacity"), rapid.IntRange(-1, 1).Draw(t, "hour"), spent...))
		}
		var got []string
		for _, a := range Plan(noon, waiting, grants) {
			got = append(got, a.LeadID+" in "+a.Grant.Name)
		}
		if want := naive(waiting, grants); !slices.Equal(want, got) {
			t.Fatalf("planned %q, the twin %q", got, want)
		}
	})
}

func naive(waiting []Waiting, grants []Grant) (plan []string) {
	left := map[string]int{}
	for _, g := range grants {
		left[g.Name] = int(g.Capacity) - len(g.Spent)
	}
	todo := slices.Clone(waiting)
	for len(todo) > 0 {
		best := 0
		for i, w := range todo {
			if w.Priority > todo[best].Priority || w.Priority == todo[best].Priority && w.LeadID < todo[best].LeadID {
				best = i
			}
		}
		lead := todo[best]
		todo = slices.Delete(todo, best, best+1)
		place := ""
		for _, keeps := range []bool{true, false} {
			for _, g := range grants { // their names ascend, and all that hold end at once
				fits := g.Channel == lead.Channel && g.StartsAt.Equal(noon) && (keeps && g.Spent[lead.LeadID] || !keeps && left[g.Name] > 0)
				if place == "" && fits {
					place = g.Name
					if !keeps {
						left[g.Name]--
					}
				}
			}
		}
		if place != "" {
			plan = append(plan, lead.LeadID+" in "+place)
		}
	}
	return plan
}
