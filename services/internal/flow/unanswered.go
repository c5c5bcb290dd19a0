package flow

import (
	"context"
	"fmt"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// countAnswers tells of each reaction whether each of its causes was answered
// once, or is on record as giving nothing to do.
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
			None: found.None, Twice: uint64(len(found.Twice)), OutOfOrder: uint64(len(found.OutOfOrder)),
		}
		x.tellCauses(flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_TWICE, r, found.Twice)
		x.tellCauses(flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_OUT_OF_ORDER, r, found.OutOfOrder)
		for _, c := range found.Missing() {
			if waiting[r.Name][c.Position] {
				told.Waiting++
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
