package contact

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// Show says that a variant of an experiment is shown. What was shown first stays
// for the whole contact, whoever the visitor turns out to be and even if the
// experiment ends: a page must not change under a visitor's eyes.
type Show struct {
	ExperimentID string
	// Draw assigns the contact's visitor a variant, or refuses to. It is pure.
	Draw func(State) (Drawn, error)
}

// Drawn is a variant, and the hash of the visitor that it was drawn by.
type Drawn struct{ VariantID, Unit string }

// Decide decides it.
func (c Show) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, shown := s.Shown(c.ExperimentID); shown {
		return nil, nil
	}
	drawn, err := c.Draw(s)
	if err != nil {
		return nil, err
	}
	return []proto.Message{&channelv1.VariantShown{
		ContactId: s.ID, CustomerId: s.CustomerID, ExperimentId: c.ExperimentID, VariantId: drawn.VariantID, Unit: drawn.Unit,
	}}, nil
}

// Shown tells which variant of an experiment was shown in the contact.
func (s State) Shown(experimentID string) (variantID string, ok bool) {
	variantID, ok = s.shown[experimentID]
	return variantID, ok
}
