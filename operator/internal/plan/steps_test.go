package plan_test

import (
	"errors"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/internal/plan"
)

func TestStepsLeadFromSlowToFast(t *testing.T) {
	tests := map[string]struct {
		cadences []string
		want     error
	}{
		"weekly, daily, hourly, real time": {[]string{"weekly", "daily", "hourly", "realtime"}, nil},
		"one step":                         {[]string{"hourly"}, nil},
		"no step":                          {nil, plan.ErrNoSteps},
		"back to daily":                    {[]string{"hourly", "daily"}, plan.ErrNotFaster},
		"twice the same":                   {[]string{"daily", "30 4 * * *"}, plan.ErrNotFaster},
		"hourly on working days is slow at night":  {[]string{"daily", "0 9-17 * * 1-5"}, plan.ErrNotFaster},
		"daily is faster than weekly in any zone":  {[]string{"CRON_TZ=America/New_York 0 2 * * 1", "CRON_TZ=Asia/Tokyo 0 2 * * *"}, nil},
		"an expression that is none":               {[]string{"now and then"}, flows.ErrCadence},
		"a pause is no step":                       {[]string{"daily", "paused"}, plan.ErrPausedStep},
		"every quarter of an hour before realtime": {[]string{"hourly", "*/15 * * * *", "realtime"}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var steps []plan.Step
			for _, c := range tc.cadences {
				steps = append(steps, plan.Step{Name: c, Cadence: c})
			}
			if err := plan.CheckSteps(steps, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)); !errors.Is(err, tc.want) {
				t.Errorf("CheckSteps = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestStepsHaveNamesOfTheirOwn(t *testing.T) {
	steps := []plan.Step{{Name: "a", Cadence: "daily"}, {Name: "a", Cadence: "hourly"}}
	if err := plan.CheckSteps(steps, time.Now()); !errors.Is(err, plan.ErrStepNames) {
		t.Errorf("CheckSteps = %v, want ErrStepNames", err)
	}
}
