package nba

import (
	"slices"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// failed returns every gate that a proposition does not pass, in their order.
func (m Model) failed(f Features, p Offered) (failed []marketingv1.Gate) {
	for _, gate := range []struct {
		gate marketingv1.Gate
		shut bool
	}{
		{marketingv1.Gate_GATE_ELIGIBILITY, !p.HasContent},
		{marketingv1.Gate_GATE_APPLICABILITY, p.LastAnswer == journeyv1.Answer_ANSWER_ACCEPTED.String()},
		{marketingv1.Gate_GATE_SUITABILITY, p.sells() && f.OpenComplaints > 0},
		{marketingv1.Gate_GATE_CONTACT_POLICY, p.RejectedHere || p.Unanswered >= m.MostUnanswered || p.sells() && f.isApproachedEnough()},
	} {
		if gate.shut {
			failed = append(failed, gate.gate)
		}
	}
	return failed
}

func (p Offered) sells() bool { return p.Purpose == marketingv1.Purpose_PURPOSE_SALES.String() }

// isApproachedEnough tells whether a limit of the contact's channel is reached.
func (f Features) isApproachedEnough() bool {
	return slices.ContainsFunc(f.Limits, func(l Limit) bool { return l.Approaches >= l.Most })
}
