package nba

import (
	"errors"
	"fmt"
	"math"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// Errors of Replay and Verify.
var (
	// ErrErased says that the customer was erased, and the features with them.
	ErrErased = errors.New("the decision's features are erased")
	// ErrModel says that this build does not have the model that decided.
	ErrModel = errors.New("the model of the decision is not known")
	// ErrDiffers says that the replay came to something else.
	ErrDiffers = errors.New("the decision is not what its features give")
)

// Replay makes a decision again from what its event recorded, and looks at
// nothing else.
func Replay(e *marketingv1.NextBestActionsDecided) (Decision, error) {
	if e.GetFeatures() == "" {
		return Decision{}, fmt.Errorf("decision %s: %w", e.GetDecisionId(), ErrErased)
	}
	m, ok := models[e.GetModelVersion()]
	if !ok {
		return Decision{}, fmt.Errorf("decision %s, model %s: %w", e.GetDecisionId(), e.GetModelVersion(), ErrModel)
	}
	digest, err := m.Digest()
	if err != nil {
		return Decision{}, err
	}
	if digest != e.GetModelDigest() {
		return Decision{}, fmt.Errorf("decision %s, model %s with other parameters: %w", e.GetDecisionId(), e.GetModelVersion(), ErrModel)
	}
	f, err := ParseFeatures(e.GetFeatures())
	if err != nil {
		return Decision{}, fmt.Errorf("decision %s: %w", e.GetDecisionId(), err)
	}
	return m.Decide(f, e.GetSeed()), nil
}

// Verify replays a decision, and fails with ErrDiffers unless it comes to the
// same candidates and the same list, bit for bit.
func Verify(e *marketingv1.NextBestActionsDecided) error {
	d, err := Replay(e)
	if err != nil {
		return err
	}
	if len(d.Candidates) != len(e.GetCandidates()) || len(d.List) != len(e.GetActions()) {
		return fmt.Errorf("decision %s: %w: other lengths", e.GetDecisionId(), ErrDiffers)
	}
	for i, c := range e.GetCandidates() {
		if !sameCandidate(c, d.Candidates[i]) {
			return fmt.Errorf("decision %s: %w: candidate %s", e.GetDecisionId(), ErrDiffers, c.GetPropositionId())
		}
	}
	for i, a := range e.GetActions() {
		if !sameAction(a, d.List[i]) {
			return fmt.Errorf("decision %s: %w: action %d", e.GetDecisionId(), ErrDiffers, i+1)
		}
	}
	return nil
}

func sameCandidate(a, b *marketingv1.Candidate) bool {
	return a.GetPropositionId() == b.GetPropositionId() && a.GetGate() == b.GetGate() &&
		sameBits(a.GetPropensity(), b.GetPropensity()) && sameBits(a.GetContext(), b.GetContext()) &&
		sameBits(a.GetValue(), b.GetValue()) && sameBits(a.GetLever(), b.GetLever()) &&
		sameBits(a.GetPriority(), b.GetPriority())
}

func sameAction(a *journeyv1.NextBestAction, b *marketingv1.Candidate) bool {
	return a.GetPropositionId() == b.GetPropositionId() && sameBits(a.GetPriority(), b.GetPriority())
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
