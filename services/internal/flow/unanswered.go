package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// countAnswers tells of each reaction whether each of its causes was answered
// once. A reaction may find nothing to do, and then leaves nothing in the log to
// be found: so whoever has no answer is put to it again, dry, and is not missing
// when at some moment since the cause there was nothing to do about it.
func (x *examination) countAnswers(ctx context.Context) error {
	if len(x.consumer.Reactions) == 0 {
		return nil
	}
	waiting, err := x.lateWaiting(ctx)
	if err != nil {
		return err
	}
	for _, r := range x.consumer.Reactions {
		found := x.answers.Of(r.Name)
		told := &flowv1.AuditedReaction{
			Handler: r.Name, Causes: found.Causes(), Answered: found.Answered, AnsweredSum: found.Sum.String(),
			Twice: uint64(len(found.Twice)), OutOfOrder: uint64(len(found.OutOfOrder)),
		}
		x.tellCauses(flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_TWICE, r, found.Twice)
		x.tellCauses(flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_OUT_OF_ORDER, r, found.OutOfOrder)
		for _, c := range found.Unanswered() {
			if waiting[r.Name][c.Position] {
				told.Waiting++
				continue
			}
			nothing, err := x.nothingToDo(ctx, r, c)
			if err != nil {
				return err
			}
			if nothing {
				told.None++
				continue
			}
			told.Missing++
			x.tellCauses(flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNANSWERED, r, []audit.Cause{c})
		}
		x.told.Reactions = append(x.told.Reactions, told)
	}
	return nil
}

func (x *examination) tellCauses(kind flowv1.AuditFaultKind, r Reaction, causes []audit.Cause) {
	for _, c := range causes {
		x.tell(&flowv1.AuditFault{Kind: kind, EventId: c.ID.String(), Position: wire(c.Position), Events: 1, Key: c.Key, Detail: r.Name})
	}
}

// nothingToDo tells whether there was a moment since a cause at which a reaction
// would have answered it with nothing: now, when it happened, or after one of
// those events that its answer would stand behind.
func (x *examination) nothingToDo(ctx context.Context, r Reaction, c audit.Cause) (bool, error) {
	event, err := x.causeAt(ctx, c)
	if err != nil {
		return false, err
	}
	cause := Cause{Event: event, Origin: decider.CauseOrigin(x.consumer.Flow.To, r.Name, event, time.Now().UTC())}
	moments := []eventlog.Position{x.head}
	for tried := 0; tried < len(moments); tried++ {
		err := r.Answer(decider.Dry(ctx, moments[tried]), x.snapshot, cause)
		would, is := errors.AsType[*decider.WouldAppend](err)
		switch {
		case err == nil:
			return true, nil
		case !is && !isOwnFault(err):
			return false, fmt.Errorf("%s: look whether there was anything to do about %s: %w", r.Name, c.ID, err)
		case tried == 0 && is:
			if moments, err = x.moments(ctx, would.Stream, c.Position); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// momentsMax bounds how many moments are tried.
const momentsMax = 100

// moments returns the one that has been tried, and those at which a stream became
// what it is, since a place, the oldest first.
func (x *examination) moments(ctx context.Context, stream string, since eventlog.Position) ([]eventlog.Position, error) {
	moments := []eventlog.Position{x.head, since}
	for e, err := range x.streams.Log.ReadStream(ctx, stream, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("look when %s changed: %w", stream, err)
		}
		if since.Compare(e.Position) < 0 {
			moments = append(moments, e.Position)
		}
	}
	return moments[:min(len(moments), momentsMax)], nil
}

// causeAt reads a cause from the log.
func (x *examination) causeAt(ctx context.Context, c audit.Cause) (codec.Event, error) {
	for e, err := range x.streams.Log.ReadAll(ctx, eventlog.Forward, &c.Position, 1) {
		if err != nil {
			return codec.Event{}, fmt.Errorf("read a cause again: %w", err)
		}
		return x.streams.Codec.Decode(ctx, e)
	}
	return codec.Event{}, fmt.Errorf("read a cause again: nothing stands at %s: %w", c.Position, ErrForeignStore)
}

// lateWaiting returns the causes that came late and wait, by reaction.
func (x *examination) lateWaiting(ctx context.Context) (map[string]map[eventlog.Position]bool, error) {
	waiting := map[string]map[eventlog.Position]bool{}
	rows, err := x.snapshot.Query(ctx, `SELECT reaction, commit_position, prepare_position FROM flow_late WHERE flow = ?`, x.consumer.Flow.Name)
	if err == nil {
		_, err = projection.Collect(rows, func(row projection.Scanner, _ *struct{}) error {
			var reaction string
			var at eventlog.Position
			err := row.Scan(&reaction, &at.Commit, &at.Prepare)
			if waiting[reaction] == nil {
				waiting[reaction] = map[eventlog.Position]bool{}
			}
			waiting[reaction][at] = true
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look for late causes: %w", err)
	}
	return waiting, nil
}
