package lead

import (
	"cmp"
	"slices"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// Waiting is an accepted lead that waits for capacity.
type Waiting struct {
	LeadID   string
	Channel  journeyv1.Channel
	Priority uint32
}

// Grant is what a channel lets lead management use for an interval.
type Grant struct {
	Name    string // <channel>:<interval>
	Channel journeyv1.Channel
	// Granted is how much the channel lets lead management use, and Capacity how
	// much of it there is by the channel's plan: never more.
	Granted  uint32
	Capacity uint32
	StartsAt time.Time
	EndsAt   time.Time
	// Spent are the leads that it was spent on.
	Spent map[string]bool
}

// Covers tells whether the grant holds at a time.
func (g Grant) Covers(t time.Time) bool { return !t.Before(g.StartsAt) && t.Before(g.EndsAt) }

// Assignment gives a lead a place in a grant.
type Assignment struct {
	LeadID string
	Grant  Grant
}

// Plan gives the leads that wait their places in the grants that hold now: the
// highest priority first, then by lead id; the grant that ends first is used
// first. A lead that a grant was spent on already keeps its place. Who gets none
// is left out, and waits on.
func Plan(now time.Time, waiting []Waiting, grants []Grant) []Assignment {
	waiting = slices.SortedFunc(slices.Values(waiting), func(a, b Waiting) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.LeadID, b.LeadID))
	})
	open := slices.DeleteFunc(slices.Clone(grants), func(g Grant) bool { return !g.Covers(now) })
	slices.SortFunc(open, func(a, b Grant) int {
		return cmp.Or(a.EndsAt.Compare(b.EndsAt), cmp.Compare(a.Name, b.Name))
	})
	left := make([]int, len(open))
	for i, g := range open {
		left[i] = int(g.Capacity) - len(g.Spent)
	}
	var plan []Assignment
	for _, lead := range waiting {
		if i := place(lead, open, left); i >= 0 {
			plan = append(plan, Assignment{LeadID: lead.LeadID, Grant: open[i]})
		}
	}
	return plan
}

// place finds a lead's grant, and takes from what is left of it; -1 when there
// is none.
func place(lead Waiting, open []Grant, left []int) int {
	i := slices.IndexFunc(open, func(g Grant) bool { return g.Channel == lead.Channel && g.Spent[lead.LeadID] })
	if i >= 0 {
		return i
	}
	for i, g := range open {
		if g.Channel == lead.Channel && left[i] > 0 {
			left[i]--
			return i
		}
	}
	return -1
}
