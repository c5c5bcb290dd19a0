package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// auditRequested asks for an audit. It is no marker: intakes pass it over.
const auditRequested = "flow.AuditRequested"

// audits answers requests for audits, one at a time and beside the intakes, until
// ctx ends. One that was not answered when a replica took over is answered then.
func (rt *Runtime) audits(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	turn := make(chan struct{}, 1)
	for _, in := range rt.intakes {
		if isOwn(in.consumer.Flow) {
			continue
		}
		var next uint64 // in the control stream
		group.Go(func() error {
			return repeat[struct{}](ctx, in.logger, "an audit waits to go on", func() error { return in.followAudits(ctx, turn, &next) }, nil)
		})
	}
	return group.Wait()
}

// followAudits answers requests as they come, until ctx ends or something goes
// wrong: then it is to begin again at next.
func (in *Intake) followAudits(ctx context.Context, turn chan struct{}, next *uint64) error {
	sub, err := in.streams.Log.SubscribeStream(ctx, flows.ControlStream(in.consumer.Flow.Name), eventlog.StreamOptions{From: *next})
	if err != nil {
		return fmt.Errorf("follow requests for audits: %w", err)
	}
	defer sub.Close()
	for m := range sub.Messages() {
		if m.Kind != eventlog.KindEvent {
			continue
		}
		if m.Event.Type == auditRequested {
			if err := in.inTurn(ctx, turn, m.Event); err != nil {
				return err
			}
		}
		*next = m.Event.Revision + 1
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow requests for audits: %w", sub.Err())
}

// inTurn answers a request when no other audit is under way.
func (in *Intake) inTurn(ctx context.Context, turn chan struct{}, e eventlog.Event) error {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		return in.answerAudit(ctx, e)
	case <-ctx.Done():
		return nil
	}
}

// answerAudit answers a request, once.
func (in *Intake) answerAudit(ctx context.Context, e eventlog.Event) (err error) {
	request, err := in.streams.Codec.Decode(ctx, e)
	if err != nil {
		return fmt.Errorf("read a request for an audit: %w", err)
	}
	asked, ok := request.Message.(*flowv1.AuditRequested)
	if !ok {
		return nil
	}
	steering, err := in.source().Steering(ctx)
	if err != nil {
		return err
	}
	if steering.Completed[e.ID.String()] != nil {
		return nil
	}
	ctx, span := in.beginWork(ctx, tracing.Audit, in.State().Epoch, originOf(request).SpanContext())
	defer func() { span.End(err) }()
	completed, err := in.audit(ctx, asked)
	if err != nil {
		return fmt.Errorf("audit %s: %w", in.consumer.Flow.Name, err)
	}
	span.Outcome(completed.GetOutcome().String())
	completed.Flow, completed.RequestId = in.consumer.Flow.Name, e.ID.String()
	c := newControl(in.consumer.Flow, e.Stream, "audit-completed:"+e.ID.String(), completed, time.Now().UTC())
	told, err := c.ensure(ctx, in.streams)
	if err == nil && !told.Repeated {
		in.measured.audited(completed)
	}
	return err
}

func (in *Intake) source() audit.Source {
	return audit.Source{Log: in.streams.Log, Flow: in.consumer.Flow, Decode: in.streams.Codec.Decode}
}

// audit compares what this consumer's tables hold with the log. What can't be
// compared is part of the answer; an error is something that may go away.
func (in *Intake) audit(ctx context.Context, asked *flowv1.AuditRequested) (_ *flowv1.AuditCompleted, err error) {
	snapshot, err := in.db.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	x := examination{Intake: in, source: in.source(), snapshot: snapshot, told: &flowv1.AuditCompleted{}}
	err = x.run(ctx, asked)
	switch {
	case err == nil:
		x.told.Outcome = flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED
	case errors.Is(err, audit.ErrNotTakenIn):
		x.told.Outcome, x.told.Reason = flowv1.AuditOutcome_AUDIT_OUTCOME_NOT_TAKEN_IN, shorten(err)
	case cantBeAudited(err):
		x.told.Outcome, x.told.Reason = flowv1.AuditOutcome_AUDIT_OUTCOME_REFUSED, shorten(err)
	default:
		return nil, err
	}
	return x.told, nil
}

// cantBeAudited tells what trying again won't mend.
func cantBeAudited(err error) bool {
	for _, why := range []error{audit.ErrNoEpoch, audit.ErrRange, ErrForeignStore} {
		if errors.Is(err, why) {
			return true
		}
	}
	return isOwnFault(err) || codec.IsFault(err)
}
