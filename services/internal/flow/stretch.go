package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// freshnessTable holds the stretch that each flow is in.
var freshnessTable = projection.Schema{Name: "flow_freshness", Version: 1, Tables: []string{
	`CREATE TABLE flow_freshness (
		flow TEXT PRIMARY KEY, epoch BIGINT NOT NULL, since BIGINT NOT NULL, until BIGINT NOT NULL,
		total BIGINT NOT NULL, good BIGINT NOT NULL, staleness BIGINT NOT NULL, share TEXT NOT NULL)`,
}}

// stretch is how fresh a flow was from since until until: to the end of the hour,
// or of the epoch. The zero stretch is none: the flow is not measured.
//
// A stretch is continued by whoever takes the flow in next. So time in which
// nobody did counts, and counts as stale for as long as an event waited too long
// in it; and each stretch is told once, however often processes end.
type stretch struct {
	epoch        uint64
	since, until time.Time
	total, good  time.Duration
	objective    flows.Objective
}

func (s stretch) isNone() bool { return s.since.IsZero() }

// measure goes on until now, when the oldest event that waited was written at
// oldest. Of a clock that is set back nothing is measured.
func (s stretch) measure(now, oldest time.Time) stretch {
	passed := min(now.Sub(s.until), flows.Window)
	s.until = now
	if passed <= 0 {
		return s
	}
	stale := min(passed, max(0, now.Sub(oldest)-s.objective.Staleness))
	s.total += passed
	s.good += passed - stale
	return s
}

// isOver tells whether the stretch is to be told, and another one to begin.
func (s stretch) isOver(now time.Time, epoch uint64, objective flows.Objective) bool {
	return s.epoch != epoch || s.objective != objective || !now.Before(s.since.Truncate(time.Hour).Add(time.Hour))
}

func (s stretch) message(flow string) *flowv1.FreshnessMeasured {
	return &flowv1.FreshnessMeasured{
		Flow: flow, Epoch: s.epoch, Since: timestamppb.New(s.since), Total: durationpb.New(s.total), Good: durationpb.New(s.good),
		Objective: &flowv1.Objective{Staleness: durationpb.New(s.objective.Staleness), Share: s.objective.Share},
	}
}

func loadStretch(ctx context.Context, q projection.Querier, flow string) (s stretch, err error) {
	var since, until int64
	var share string
	err = q.QueryRow(ctx, `SELECT epoch, since, until, total, good, staleness, share FROM flow_freshness WHERE flow = ?`, flow).Scan(
		&s.epoch, &since, &until, &s.total, &s.good, &s.objective.Staleness, &share)
	if errors.Is(err, sql.ErrNoRows) {
		return stretch{}, nil
	}
	if err == nil {
		_, err = fmt.Sscan(share, &s.objective.Share)
	}
	if err != nil {
		return stretch{}, fmt.Errorf("read how fresh %s was: %w", flow, err)
	}
	s.since, s.until = time.Unix(0, since).UTC(), time.Unix(0, until).UTC()
	return s, nil
}

func (s stretch) save(ctx context.Context, tx *projection.Tx, flow string) (err error) {
	if s.isNone() {
		_, err = tx.Exec(ctx, `DELETE FROM flow_freshness WHERE flow = ?`, flow)
	} else {
		_, err = tx.Exec(ctx, `INSERT INTO flow_freshness (flow, epoch, since, until, total, good, staleness, share) VALUES (?,?,?,?,?,?,?,?)
			ON CONFLICT (flow) DO UPDATE SET epoch = excluded.epoch, since = excluded.since, until = excluded.until,
				total = excluded.total, good = excluded.good, staleness = excluded.staleness, share = excluded.share`,
			flow, s.epoch, s.since.UnixNano(), s.until.UnixNano(), int64(s.total), int64(s.good), int64(s.objective.Staleness), fmt.Sprint(s.objective.Share))
	}
	if err != nil {
		return fmt.Errorf("write how fresh %s was: %w", flow, err)
	}
	return nil
}
