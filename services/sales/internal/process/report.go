package process

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

const (
	anywhere = "" // of how long a step took, wherever instances went
	ofStep   = "process = ? AND step = ?"
)

// report reads how a process goes, as of a time.
func report(ctx context.Context, q projection.Querier, p Process, asOf time.Time) (*salesv1.Process, error) {
	r := &salesv1.Process{Process: p.Name}
	for _, s := range p.Steps {
		step, err := reportStep(ctx, q, p, s, asOf)
		if err != nil {
			return nil, fmt.Errorf("report the step %s of %s: %w", s.Name, p.Name, err)
		}
		r.Steps = append(r.Steps, step)
		r.Instances += step.GetStanding() // each stands in one
	}
	return r, nil
}

func reportStep(ctx context.Context, q projection.Querier, p Process, s Step, asOf time.Time) (*salesv1.ProcessStep, error) {
	r := &salesv1.ProcessStep{Step: s.Name, Kind: salesv1.StepKind_STEP_KIND_PASSING}
	if s.Ends {
		r.Kind = salesv1.StepKind_STEP_KIND_ENDING
	}
	for _, by := range s.MovedBy {
		r.MovedBy = append(r.MovedBy, string(by))
	}
	err := q.QueryRow(ctx, `SELECT count(*), coalesce(sum(CASE WHEN took = ? THEN 1 ELSE 0 END), 0) FROM process_step WHERE `+ofStep,
		notLeft, p.Name, s.Name).Scan(&r.Entered, &r.Standing)
	if err != nil {
		return nil, err
	}
	if r.Times, err = times(ctx, q, p, s, anywhere); err != nil {
		return nil, err
	}
	for _, to := range p.Steps[p.Place(s.Name)+1:] {
		took, err := times(ctx, q, p, s, to.Name)
		if err != nil {
			return nil, err
		}
		if took.GetCount() > 0 {
			r.Passages = append(r.Passages, &salesv1.Passage{To: to.Name, Times: took})
		}
	}
	if s.Ends {
		return r, nil
	}
	return r, stall(ctx, q, p, r, asOf)
}

// times are how long a step took those that went to another one.
func times(ctx context.Context, q projection.Querier, p Process, s Step, to string) (*salesv1.Times, error) {
	where, args := ofStep+" AND took >= 0", []any{p.Name, s.Name}
	if to != anywhere {
		where, args = ofStep+" AND next = ?", append(args, to)
	}
	t := &salesv1.Times{}
	if err := q.QueryRow(ctx, `SELECT count(*) FROM process_step WHERE `+where, args...).Scan(&t.Count); err != nil || t.Count == 0 {
		return t, err
	}
	for percent, into := range map[uint64]**durationpb.Duration{50: &t.P50, 90: &t.P90} {
		var nanos int64
		err := q.QueryRow(ctx, `SELECT took FROM process_step WHERE `+where+` ORDER BY took LIMIT 1 OFFSET ?`,
			slices.Concat(args, []any{rank(t.GetCount(), percent) - 1})...).Scan(&nanos)
		if err != nil {
			return nil, err
		}
		*into = durationpb.New(time.Duration(nanos))
	}
	return t, nil
}

// rank is which of n sorted values, from 1 on, is a quantile: the smallest one that
// at least so many per cent of all are no larger than. It is the inverse of the
// empirical distribution, the first definition of R. J. Hyndman and Y. Fan, "Sample
// Quantiles in Statistical Packages", The American Statistician 50 (1996), pp.
// 361-365: exact, and always a value that was measured.
func rank(n, percent uint64) uint64 { return max(1, (n*percent+99)/100) }

// stall tells how many stand in a step for longer than nine in ten of those that
// went on were there.
func stall(ctx context.Context, q projection.Querier, p Process, r *salesv1.ProcessStep, asOf time.Time) error {
	first, err := firstStanding(ctx, q, p, r.GetStep())
	if err != nil || first == 0 {
		return err
	}
	r.StandingSince = timestamppb.New(time.Unix(0, first))
	if r.GetTimes().GetCount() == 0 {
		return nil
	}
	p90 := r.GetTimes().GetP90().AsDuration()
	err = q.QueryRow(ctx, `SELECT count(*) FROM process_step WHERE `+ofStep+` AND took = ? AND entered_at < ?`,
		p.Name, r.GetStep(), notLeft, asOf.Add(-p90).UnixNano()).Scan(&r.Stalled)
	if err == nil && r.GetStalled() > 0 {
		r.StalledSince = timestamppb.New(time.Unix(0, first).Add(p90))
	}
	return err
}

// firstStanding is when the first came to a step of those that are there; 0 when
// none is.
func firstStanding(ctx context.Context, q projection.Querier, p Process, step string) (nanos int64, err error) {
	err = q.QueryRow(ctx, `SELECT entered_at FROM process_step WHERE `+ofStep+` AND took = ? ORDER BY entered_at LIMIT 1`,
		p.Name, step, notLeft).Scan(&nanos)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return nanos, err
}
