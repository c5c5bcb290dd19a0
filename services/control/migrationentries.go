package control

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// migrationLine tells an event of a migration in one line; ok is false for any other
// event.
func migrationLine(event proto.Message) (line string, ok bool) {
	switch m := event.(type) {
	case *flowv1.MigrationPlanned:
		return fmt.Sprintf("managed from now on by InformationFlow %s, plan %s: %s", m.GetObject(), m.GetPlan(), stepNames(m)), true
	case *flowv1.MigrationEnded:
		return "managed no more, by " + who(m), true
	case *flowv1.GateJudged:
		return fmt.Sprintf("gate %s of step %s: %s (%s, wanted %s)", m.GetGate(), m.GetStep(), word(m.GetResult(), "GATE_VERDICT_"), m.GetValue(), m.GetThreshold()), true
	case *flowv1.ParityJudged:
		return parityLine(m), true
	case *flowv1.ApprovalAwaited:
		return "step " + m.GetStep() + " awaits approval", true
	case *flowv1.ApprovalCounted:
		return fmt.Sprintf("step %s approved by %s (%s)", m.GetStep(), m.GetBy(), m.GetApproval()), true
	case *flowv1.MigrationHeld:
		return fmt.Sprintf("migration held: %s: %s", word(m.GetCause(), "HOLD_CAUSE_"), m.GetDetail()), true
	case *flowv1.MigrationSteered:
		return fmt.Sprintf("%s asked for, by %s", word(m.GetAction(), "STEERING_ACTION_"), m.GetBy()), true
	default:
		return "", false
	}
}

func parityLine(m *flowv1.ParityJudged) string {
	if m.GetOutcome() == flowv1.ParityOutcome_PARITY_OUTCOME_NOT_COMPARED {
		return "parity not known: " + m.GetReason()
	}
	return fmt.Sprintf("parity %s: %d produced, %d delivered, %d filtered, %d parked, %d missing, %d duplicated, %d reordered",
		word(m.GetOutcome(), "PARITY_OUTCOME_"), m.GetProduced(), m.GetDelivered(), m.GetFiltered(), m.GetParked(),
		m.GetMissing(), m.GetDuplicated(), m.GetReordered())
}

// word is the name of an enum's value in plain words.
func word(value fmt.Stringer, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value.String(), prefix)), "_", " ")
}

func stepNames(m *flowv1.MigrationPlanned) string {
	names := make([]string, 0, len(m.GetSteps()))
	for _, step := range m.GetSteps() {
		names = append(names, step.GetName())
	}
	return strings.Join(names, ", ")
}
