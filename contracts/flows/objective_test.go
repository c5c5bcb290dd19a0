package flows_test

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

const day = 24 * time.Hour

func cadence(t *testing.T, text string) flows.Cadence {
	t.Helper()
	c, err := flows.ParseCadence(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACadenceSaysHowStaleAFlowMayBe(t *testing.T) {
	tests := map[string]struct {
		cadence string
		want    flows.Objective
	}{
		"real time leaves room for another owner":   {flows.RealTime, flows.Objective{Staleness: 10 * time.Second, Share: 0.999}},
		"every minute has the least allowance":      {"* * * * *", flows.Objective{Staleness: 6 * time.Minute, Share: 0.99}},
		"hourly":                                    {flows.Hourly, flows.Objective{Staleness: 65 * time.Minute, Share: 0.99}},
		"daily":                                     {flows.Daily, flows.Objective{Staleness: 26 * time.Hour, Share: 0.99}},
		"daily where a day has 25 hours":            {"CRON_TZ=Europe/Amsterdam 0 9 * * *", flows.Objective{Staleness: 25 * time.Hour * 13 / 12, Share: 0.99}},
		"working days, over the weekend":            {"0 2 * * 1-5", flows.Objective{Staleness: 78 * time.Hour, Share: 0.99}},
		"weekly":                                    {flows.Weekly, flows.Objective{Staleness: 182 * time.Hour, Share: 0.99}},
		"a day that only a leap year has":           {"0 0 29 2 *", flows.Objective{Staleness: 1461 * day * 13 / 12, Share: 0.99}},
		"every other day of a month, over its end":  {"0 0 1-31/2 * *", flows.Objective{Staleness: 52 * time.Hour, Share: 0.99}},
		"the last window of a year and the first":   {"0 0 1 1 *", flows.Objective{Staleness: 366 * day * 13 / 12, Share: 0.99}},
		"an hour that is named in the catalogue":    {"0 3 * * *", flows.Objective{Staleness: time.Hour, Share: 0.9}},
		"the same hour in another notation is none": {"00 3 * * *", flows.Objective{Staleness: 26 * time.Hour, Share: 0.99}},
	}
	flow := flows.Flow{Name: "test", Objectives: map[string]flows.Objective{"0 3 * * *": {Staleness: time.Hour, Share: 0.9}}}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := flow.ObjectiveAt(cadence(t, tc.cadence)); got != tc.want || !ok {
				t.Errorf("got %v (%v), want %v", got, ok, tc.want)
			}
		})
	}
	if o, ok := flow.ObjectiveAt(cadence(t, flows.Paused)); ok {
		t.Errorf("a paused flow has the objective %v, want none", o)
	}
}

// A share of 1 would leave no budget to spend, and nothing to reckon with.
func TestObjectivesOfTheCatalogueCanBeKept(t *testing.T) {
	for _, flow := range flows.Catalogue {
		for text, o := range flow.Objectives {
			c := cadence(t, text)
			if c.String() != text || c.IsPaused() {
				t.Errorf("%s: an objective for %q is never looked up", flow.Name, text)
			}
			if gap, _ := c.LongestGap(time.Now()); o.Staleness <= gap || o.Share <= 0 || o.Share >= 1 {
				t.Errorf("%s: %v can't be kept at %s", flow.Name, o, text)
			}
		}
	}
}

func TestBudgetOfAnObjective(t *testing.T) {
	for share, want := range map[float64]time.Duration{
		0.999: 40*time.Minute + 19200*time.Millisecond, 0.99: 6*time.Hour + 43*time.Minute + 12*time.Second, 0.5: 14 * day,
	} {
		if got := (flows.Objective{Share: share}).Budget(); got != want {
			t.Errorf("a share of %v leaves %s, want %s", share, got, want)
		}
	}
}

func TestBudgetLeft(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	// Of 28 days, a share of 0.75 leaves seven days, and one of 0.5 leaves 14.
	measured := func(ago, total, stale time.Duration, share float64) *flowv1.FreshnessMeasured {
		return &flowv1.FreshnessMeasured{
			Since: timestamppb.New(now.Add(-ago)), Total: durationpb.New(total), Good: durationpb.New(total - stale),
			Objective: &flowv1.Objective{Staleness: durationpb.New(time.Hour), Share: share},
		}
	}
	tests := map[string]struct {
		measured []*flowv1.FreshnessMeasured
		want     float64
		known    bool
	}{
		"nothing was measured":              {nil, 1, false},
		"what is empty is nothing":          {[]*flowv1.FreshnessMeasured{measured(0, 0, 0, 0.75)}, 1, false},
		"fresh all the time":                {[]*flowv1.FreshnessMeasured{measured(2*day, day, 0, 0.75), measured(day, day, 0, 0.75)}, 1, true},
		"a seventh is spent":                {[]*flowv1.FreshnessMeasured{measured(2*day, day, 0, 0.75), measured(day, day, day, 0.75)}, 6.0 / 7, true},
		"all is spent":                      {[]*flowv1.FreshnessMeasured{measured(7*day, 7*day, 7*day, 0.75)}, 0, true},
		"more than all is spent":            {[]*flowv1.FreshnessMeasured{measured(14*day, 14*day, 14*day, 0.75)}, -1, true},
		"each by the objective of its time": {[]*flowv1.FreshnessMeasured{measured(8*day, 7*day, 7*day, 0.5), measured(day, day, day, 0.75)}, 1 - 7.0/14 - 1.0/7, true},
		"what is over is forgiven":          {[]*flowv1.FreshnessMeasured{measured(29*day, time.Hour, time.Hour, 0.75), measured(day, day, 0, 0.75)}, 1, true},
		"only what is over was measured":    {[]*flowv1.FreshnessMeasured{measured(29*day, time.Hour, time.Hour, 0.75)}, 1, false},
		"a long time that is not over":      {[]*flowv1.FreshnessMeasured{measured(29*day, 7*day, 7*day, 0.75)}, 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			left, known := flows.BudgetLeft(tc.measured, now)
			if math.Abs(left-tc.want) > 1e-9 || known != tc.known {
				t.Errorf("%v is left (%v), want %v (%v)", left, known, tc.want, tc.known)
			}
		})
	}
}
