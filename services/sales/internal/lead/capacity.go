package lead

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales/internal/outbound"
)

// capacityTables hold what the channels granted, by the name of the grant, and
// how busy they were of late.
var capacityTables = projection.Schema{Name: "capacity", Version: 2, Tables: []string{
	`CREATE TABLE capacity_grant (
		name TEXT PRIMARY KEY, channel BIGINT NOT NULL, capacity BIGINT NOT NULL,
		starts_at BIGINT NOT NULL, ends_at BIGINT NOT NULL)`,
	`CREATE INDEX capacity_grant_ends ON capacity_grant (ends_at)`,
	`CREATE TABLE workload (channel BIGINT NOT NULL, measured_at BIGINT NOT NULL, waiting BIGINT NOT NULL, PRIMARY KEY (channel, measured_at))`,
}}

// workloadKept is for how long measurements are kept: well over an interval, as a
// grant looks for the last one before it began.
const workloadKept = 24 * time.Hour

// projectCapacity keeps the tables of grants and of workload.
func projectCapacity(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	var err error
	switch e := event.Message.(type) {
	case *channelv1.CapacityGranted:
		err = projectGrant(ctx, tx, e)
	case *channelv1.WorkloadReported:
		err = projectWorkload(ctx, tx, e)
	}
	if err != nil {
		return fmt.Errorf("capacity: %w", err)
	}
	return nil
}

// projectGrant keeps a grant. What was granted stays granted: the first word on
// an interval counts.
func projectGrant(ctx context.Context, tx *projection.Tx, e *channelv1.CapacityGranted) error {
	return tx.Write(ctx, `INSERT INTO capacity_grant (name, channel, capacity, starts_at, ends_at) VALUES (?,?,?,?,?) ON CONFLICT (name) DO NOTHING`,
		grantName(e.GetChannel(), e.GetInterval()), int32(e.GetChannel()), e.GetCapacity(),
		e.GetStartsAt().AsTime().UnixNano(), e.GetEndsAt().AsTime().UnixNano())
}

func projectWorkload(ctx context.Context, tx *projection.Tx, e *channelv1.WorkloadReported) error {
	measured := e.GetMeasuredAt().AsTime()
	err := tx.Write(ctx, `INSERT INTO workload (channel, measured_at, waiting) VALUES (?,?,?) ON CONFLICT (channel, measured_at) DO UPDATE SET waiting = excluded.waiting`,
		int32(e.GetChannel()), measured.UnixNano(), e.GetWaiting())
	if err != nil {
		return err
	}
	return tx.Write(ctx, `DELETE FROM workload WHERE channel = ? AND measured_at < ?`, int32(e.GetChannel()), measured.Add(-workloadKept).UnixNano())
}

// grantName names a grant: <channel>:<interval>, such as email:2026-11-21T14.
func grantName(channel journeyv1.Channel, interval string) string {
	return strings.ReplaceAll(channelName(channel), " ", "-") + ":" + interval
}

// loadGrants reads the grants that are not over, and what each comes to by its
// channel's plan.
func loadGrants(ctx context.Context, q projection.Querier, now time.Time, plans outbound.Plans) ([]Grant, error) {
	rows, err := q.Query(ctx, `SELECT name, channel, capacity, starts_at, ends_at FROM capacity_grant WHERE ends_at > ? ORDER BY ends_at, name`, now.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("look for grants: %w", err)
	}
	grants, err := projection.Collect(rows, scanGrant)
	if err != nil {
		return nil, fmt.Errorf("look for grants: %w", err)
	}
	for i, g := range grants {
		plan := plans[g.Channel]
		if plan == nil {
			continue
		}
		waited, err := waitedAt(ctx, q, g)
		if err != nil {
			return nil, err
		}
		grants[i].Capacity = min(g.Granted, outbound.Fits(plan, g.EndsAt.Sub(g.StartsAt), waited))
	}
	return grants, nil
}

func scanGrant(row projection.Scanner, g *Grant) error {
	var channel int32
	var starts, ends int64
	err := row.Scan(&g.Name, &channel, &g.Granted, &starts, &ends)
	g.Channel, g.StartsAt, g.EndsAt = journeyv1.Channel(channel), time.Unix(0, starts).UTC(), time.Unix(0, ends).UTC()
	g.Capacity = g.Granted
	return err
}

// waitedAt is how much work waited when a grant began, by the last measurement
// that is not older than the grant is long; 0 when there is none. What was measured
// later holds leads that were dispatched within the grant: they would count twice.
func waitedAt(ctx context.Context, q projection.Querier, g Grant) (waiting uint32, err error) {
	err = q.QueryRow(ctx, `SELECT waiting FROM workload WHERE channel = ? AND measured_at > ? AND measured_at <= ? ORDER BY measured_at DESC LIMIT 1`,
		int32(g.Channel), g.StartsAt.Add(-g.EndsAt.Sub(g.StartsAt)).UnixNano(), g.StartsAt.UnixNano()).Scan(&waiting)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("look for the workload of %s: %w", channelName(g.Channel), err)
	}
	return waiting, nil
}
