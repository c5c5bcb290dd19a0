package nba

import (
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of the decisions for a contact.
func Stream(contact string) string { return "decisions-" + contact }

// State is the last decision for a contact; nil before the first.
type State struct {
	Last *marketingv1.NextBestActionsDecided
}

// Decider is the pure core of a contact's decisions.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s State, event proto.Message) State {
	if decided, ok := event.(*marketingv1.NextBestActionsDecided); ok {
		s.Last = decided
	}
	return s
}

// Wording is how the propositions are put in the contact's channel, by their id.
type Wording map[string]Words

// Words are a proposition's name and its content.
type Words struct{ Name, Content string }

// Command asks for a decision.
type Command struct {
	DecisionID string
	CauseID    string
	Channel    journeyv1.Channel
	Features   Features
	Seed       uint64
	RestedOn   []*flowv1.Freshness
	// OwnPosition is how far marketing's own events were.
	OwnPosition *flowv1.Position
	Wording     Wording
}

// Decide makes the event of a decision, with all that it rested on.
func Decide(c Command) (*marketingv1.NextBestActionsDecided, error) {
	features, err := c.Features.Canonical()
	if err != nil {
		return nil, err
	}
	digest, err := current.Digest()
	if err != nil {
		return nil, err
	}
	d := current.Decide(c.Features, c.Seed)
	e := &marketingv1.NextBestActionsDecided{
		DecisionId: c.DecisionID, ContactId: c.Features.Contact, CustomerId: c.Features.Customer,
		Channel: c.Channel, CauseId: c.CauseID, Candidates: d.Candidates, Features: features,
		ModelVersion: current.Version, ModelDigest: digest, Seed: c.Seed, RestedOn: c.RestedOn, Group: d.Group, OwnPosition: c.OwnPosition,
	}
	for _, best := range d.List {
		words := c.Wording[best.GetPropositionId()]
		e.Actions = append(e.Actions, &journeyv1.NextBestAction{
			PropositionId: best.GetPropositionId(), Name: words.Name, Content: words.Content, Priority: best.GetPriority(),
		})
	}
	return e, nil
}

// Decline records that a cause gets no decision, and why.
func Decline(flow, handler, cause, reason string) []proto.Message {
	return []proto.Message{&flowv1.CauseExpired{Flow: flow, Handler: handler, CauseId: cause, Reason: reason}}
}
