package campaign

import (
	"context"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// times tells when a campaign was due last, at or before now, and when it is due
// next; each is the zero time when it is not. Of several times that were missed the
// last one counts. What was due before its time or schedule began to hold is not
// made up for, save a time that had passed already: that means at once.
func times(c *marketingv1.CampaignDefined, now time.Time) (last, next time.Time, err error) {
	if c.GetOnceAt() != nil {
		if at := c.GetOnceAt().AsTime(); now.Before(at) {
			return last, at, nil
		}
		return c.GetOnceAt().AsTime(), next, nil
	}
	if c.GetSchedule() == "" {
		return last, next, nil
	}
	cadence, err := flows.ParseCadence(c.GetSchedule())
	if err != nil {
		return last, next, fmt.Errorf("read the schedule of campaign %s: %w", c.GetCampaignId(), err)
	}
	if last = cadence.LastDue(now); !last.After(c.GetTimedSince().AsTime()) {
		last = time.Time{}
	}
	return last, cadence.Next(now), nil
}

// ran tells whether the run that was due at a time is known, or a later one: a clock
// that is set back makes up for nothing.
func ran(ctx context.Context, q projection.Querier, c *marketingv1.CampaignDefined, due time.Time) (yes bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM own_run WHERE run_id = ?)
		OR (CAST(? AS BIGINT) = 1 AND EXISTS (SELECT 1 FROM own_run WHERE campaign_id = ? AND due_at > ?))`,
		dueRun(c.GetCampaignId(), due), given(c.GetSchedule() != ""), c.GetCampaignId(), due.UnixMilli()).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for the runs of campaign %s: %w", c.GetCampaignId(), err)
	}
	return yes, nil
}

func hours(n uint32) time.Duration { return time.Duration(n) * time.Hour }
