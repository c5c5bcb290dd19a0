package control

import (
	"context"
	"errors"
	"fmt"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// ErrNoAudit says that there is no answer that could be held against the log.
var ErrNoAudit = errors.New("the flow's consumer has not answered an audit that waits to be judged")

// objectionsTold bounds what a proof says in words: an event is for ever.
const objectionsTold = 5

// JudgeParity holds the answer to the audit of a state against the log, and returns
// what came of it, for Record. It reads the log from the audited epoch's start to
// its end. It fails with ErrUnknownFlow and ErrNoAudit.
func (f *Flows) JudgeParity(ctx context.Context, s *migration.State, step string) (*flowv1.ParityJudged, error) {
	flow, err := f.find(s.Flow)
	if err != nil {
		return nil, err
	}
	if s.Audit == nil || !s.Audit.Answered {
		return nil, fmt.Errorf("%s: %w", s.Flow, ErrNoAudit)
	}
	source := f.source(flow)
	steering, err := source.Steering(ctx)
	if err != nil {
		return nil, err
	}
	judged := &flowv1.ParityJudged{Flow: s.Flow, Plan: s.Plan.GetPlan(), Step: step, Epoch: s.Epoch, RequestId: s.Audit.ID}
	completed := steering.Completed[s.Audit.ID]
	if completed.GetOutcome() != flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED {
		judged.Outcome, judged.Reason = flowv1.ParityOutcome_PARITY_OUTCOME_NOT_COMPARED, completed.GetReason()
		judged.Intake, judged.Content = flowv1.DigestMatch_DIGEST_MATCH_UNKNOWN, flowv1.DigestMatch_DIGEST_MATCH_UNKNOWN
		return judged, nil
	}
	found, err := f.holdAgainstLog(ctx, source, &flowv1.AuditRequested{Flow: s.Flow, Epoch: s.Epoch}, completed)
	if err != nil {
		return nil, err
	}
	found.into(judged)
	return judged, nil
}

// into writes what came of an audit as a proof.
func (a *Audit) into(p *flowv1.ParityJudged) {
	to := a.To
	if a.Position.Compare(to) < 0 {
		to = a.Position
	}
	p.From, p.To = wirePlace(&a.From), wirePlace(&to)
	for _, l := range a.Lines {
		p.Produced += l.Produced
		p.Delivered += l.Delivered()
		p.Filtered += l.Filtered
		p.Parked += l.Parked
		p.Missing += l.Missing
		p.Duplicated += l.Twice
		p.Reordered += l.OutOfOrder
	}
	for _, r := range a.Reactions {
		p.Missing += r.GetMissing()
		p.Duplicated += r.GetTwice()
		p.Reordered += r.GetOutOfOrder()
	}
	p.Intake, p.Content = matchOf[a.Intake], matchOf[a.Tables]
	p.Objections = a.Objections[:min(len(a.Objections), objectionsTold)]
	p.Unexplained = uint64(a.Contradictions)
	p.Outcome = flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED
	if !a.Closes() {
		p.Outcome = flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED
	}
}

var matchOf = map[Comparison]flowv1.DigestMatch{
	Unknown: flowv1.DigestMatch_DIGEST_MATCH_UNKNOWN,
	Equal:   flowv1.DigestMatch_DIGEST_MATCH_SAME,
	Unequal: flowv1.DigestMatch_DIGEST_MATCH_DIFFERENT,
}
