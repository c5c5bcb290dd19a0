package nba

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

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
		return fmt.Errorf("decision %s: %w: %d candidates and %d actions were recorded, %d and %d come again",
			e.GetDecisionId(), ErrDiffers, len(e.GetCandidates()), len(e.GetActions()), len(d.Candidates), len(d.List))
	}
	for i, c := range e.GetCandidates() {
		if difference := differs(c, d.Candidates[i]); difference != "" {
			return fmt.Errorf("decision %s: %w: candidate %s: %s", e.GetDecisionId(), ErrDiffers, c.GetPropositionId(), difference)
		}
	}
	for i, a := range e.GetActions() {
		listed := &journeyv1.NextBestAction{
			PropositionId: d.List[i].GetPropositionId(), Name: a.GetName(), Content: a.GetContent(), Priority: d.List[i].GetPriority(),
		}
		if difference := differs(a, listed); difference != "" {
			return fmt.Errorf("decision %s: %w: action %d: %s", e.GetDecisionId(), ErrDiffers, i+1, difference)
		}
	}
	if e.GetGroup() != d.Group {
		return fmt.Errorf("decision %s: %w: group: %s was recorded, %s comes again", e.GetDecisionId(), ErrDiffers, e.GetGroup(), d.Group)
	}
	return nil
}

// differs names the first field in which two messages differ, by a bit or more;
// it is empty when none does.
func differs(recorded, again proto.Message) string {
	a, b := recorded.ProtoReflect(), again.ProtoReflect()
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		was, is := a.Get(field), b.Get(field)
		same := was.Equal(is)
		if field.Kind() == protoreflect.DoubleKind {
			same = math.Float64bits(was.Float()) == math.Float64bits(is.Float())
		}
		if !same {
			return fmt.Sprintf("%s: %v was recorded, %v comes again", field.Name(), was, is)
		}
	}
	return ""
}
