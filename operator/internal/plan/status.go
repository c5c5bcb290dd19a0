package plan

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// status is what the flow's streams come to, by the spec. Its times are those of
// events, so that it is the same when it is made anew; a condition has none whose
// turn no event tells of.
func (p *planner) status() v1alpha1.InformationFlowStatus {
	status := v1alpha1.InformationFlowStatus{
		ObservedGeneration: p.spec.Object.Generation, PlanHash: p.spec.Hash,
		From: string(p.spec.Flow.From), To: string(p.spec.Flow.To), Events: p.spec.Flow.Types,
		Owner: p.spec.Flow.Owner, Rationale: p.spec.Flow.Rationale,
	}
	if len(p.spec.Flow.Key) > 0 {
		status.Key = p.spec.Flow.Key[0]
	}
	if p.s == nil {
		status.Conditions = []metav1.Condition{p.ready(), p.reachable()}
		return p.observed(status)
	}
	status.Epoch, status.Cadence, status.CurrentStep = int64(p.s.Epoch), p.s.Cadence, p.stepName()
	status.TargetStep = p.targetStep()
	status.StepSince = at(p.s.Since)
	status.LastParity = parity(p.s.Told)
	for i, g := range p.gates() {
		told := p.told(i)
		status.Gates = append(status.Gates, v1alpha1.GateStatus{
			Name: g.Name, Result: results[told.Result], Value: told.Value, Threshold: g.threshold(), Since: at(told.At),
		})
	}
	for _, r := range slices.Backward(p.s.History) {
		status.History = append(status.History, v1alpha1.Transition{
			At: metav1.NewTime(r.At), Epoch: int64(r.Epoch), Step: r.Step, By: r.By, Reason: r.Reason,
		})
	}
	status.HandledAbort, status.HandledRetry = p.s.HandledAbort, p.s.HandledRetry
	status.Conditions = p.conditions()
	return p.observed(status)
}

// told is what came of a gate at its last transition; of one that has had none, why
// nothing is known, in words that have no live figures in them.
func (p *planner) told(i int) migration.Gate {
	told, seen := p.s.Gate(p.gates()[i].Name), p.readings[i]
	if told.Value == "" && seen.result == told.Result {
		told.Value = seen.value
		if seen.why != "" {
			told.Value = seen.why
		}
	}
	return told
}

// observed notes of which generation the conditions tell.
func (p *planner) observed(status v1alpha1.InformationFlowStatus) v1alpha1.InformationFlowStatus {
	for i := range status.Conditions {
		status.Conditions[i].ObservedGeneration = p.spec.Object.Generation
	}
	return status
}

// targetStep is the last step, or the one that a migration that has stopped stays
// at.
func (p *planner) targetStep() string {
	if p.stalled {
		return p.stepName()
	}
	return p.spec.Steps[len(p.spec.Steps)-1].Name
}

var results = map[flowv1.GateVerdict]v1alpha1.GateResult{pass: v1alpha1.GatePasses, fail: v1alpha1.GateFails, unknown: v1alpha1.GateUnknown}

var matches = map[flowv1.DigestMatch]v1alpha1.Match{
	flowv1.DigestMatch_DIGEST_MATCH_SAME:      v1alpha1.Matches,
	flowv1.DigestMatch_DIGEST_MATCH_DIFFERENT: v1alpha1.Mismatches,
	flowv1.DigestMatch_DIGEST_MATCH_UNKNOWN:   v1alpha1.MatchUnknown,
}

func parity(p *migration.Proof) *v1alpha1.Parity {
	if p == nil || p.GetOutcome() == flowv1.ParityOutcome_PARITY_OUTCOME_NOT_COMPARED {
		return nil
	}
	return &v1alpha1.Parity{
		Range:    fmt.Sprintf("%d..%d", p.GetFrom().GetCommit(), p.GetTo().GetCommit()),
		Produced: int64(p.GetProduced()), Delivered: int64(p.GetDelivered()), Filtered: int64(p.GetFiltered()), Parked: int64(p.GetParked()),
		Missing: int64(p.GetMissing()), Duplicated: int64(p.GetDuplicated()), Reordered: int64(p.GetReordered()),
		Intake: matches[p.GetIntake()], Content: matches[p.GetContent()],
	}
}

func at(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	wire := metav1.NewTime(t)
	return &wire
}

// verdicts are on the approvals that were seen.
func (p *planner) verdicts() (all []Verdict) {
	if p.s == nil {
		return nil
	}
	for _, a := range p.o.Approvals {
		verdict, message := p.verdict(a)
		all = append(all, Verdict{Name: a.Name, UID: a.UID, Verdict: verdict, Message: message})
	}
	return all
}

func (p *planner) verdict(a ApprovalSeen) (v1alpha1.Verdict, string) {
	step := slices.IndexFunc(p.spec.Steps, func(s Step) bool { return s.Name == a.Step })
	switch {
	case slices.Contains(p.s.Counted, a.UID):
		return v1alpha1.ApprovalCounted, "step " + a.Step + " may begin by it, once"
	case step < 0:
		return v1alpha1.ApprovalForeign, fmt.Sprintf("InformationFlow %s has no step %s", p.spec.Object.Name, a.Step)
	case a.PlanHash != p.spec.Hash:
		return v1alpha1.ApprovalStale, fmt.Sprintf("it is of plan %s, and the plan is %s: look at it, and approve again", a.PlanHash, p.spec.Hash)
	case step <= p.present:
		return v1alpha1.ApprovalStale, fmt.Sprintf("step %s is past: the flow is at %s", a.Step, p.stepName())
	case p.spec.Steps[step].Approval == nil:
		return v1alpha1.ApprovalStale, fmt.Sprintf("step %s needs no approval", a.Step)
	default:
		return v1alpha1.ApprovalWaiting, "the flow does not wait for it yet"
	}
}

// warnings are what is wrong with requests that can't be followed.
func (p *planner) warnings() (all []string) {
	for name, token := range map[string]Token{v1alpha1.AnnotationAbort: p.spec.Abort, v1alpha1.AnnotationRetry: p.spec.Retry} {
		if _, ok := token.when(); token != "" && !ok {
			all = append(all, fmt.Sprintf("%s: %q does not begin with a time such as 2026-01-31T12:00:00Z: nothing was done", name, token))
		}
	}
	slices.Sort(all)
	return all
}

// Refused is the status of an InformationFlow that Read has refused.
func Refused(object *v1alpha1.InformationFlow, why error) v1alpha1.InformationFlowStatus {
	status := *object.Status.DeepCopy()
	status.ObservedGeneration = object.Generation
	stalled := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "Refused", Message: message(why.Error())}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Refused", Message: message(why.Error())}
	status.Conditions = []metav1.Condition{ready, stalled}
	for i := range status.Conditions {
		status.Conditions[i].ObservedGeneration = object.Generation
	}
	return status
}

// message bounds a text to what a condition holds.
func message(text string) string {
	const most = 1024
	if len(text) <= most {
		return text
	}
	return text[:most-3] + "..."
}
