package contact

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Present says that a proposition was shown or told. That can happen again and
// again: marketing counts.
type Present struct{ PropositionID, DecisionID string }

// Decide decides it.
func (c Present) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return []proto.Message{&channelv1.PropositionPresented{
		ContactId: s.ID, CustomerId: s.CustomerID, PropositionId: c.PropositionID, DecisionId: c.DecisionID, Channel: s.Channel,
	}}, nil
}

// Answer is the visitor's answer to a proposition.
type Answer struct {
	PropositionID string
	Answer        journeyv1.Answer
}

// Decide decides it.
func (c Answer) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	standing, presented := s.presented[c.PropositionID]
	switch {
	case !presented:
		return nil, fault.Precondition("the proposition was not presented in this contact").WithReason("PROPOSITION_NOT_PRESENTED")
	case standing == c.Answer:
		return nil, nil
	}
	return []proto.Message{&channelv1.PropositionAnswered{
		ContactId: s.ID, CustomerId: s.CustomerID, PropositionId: c.PropositionID, Answer: c.Answer,
	}}, nil
}

// ShowInterest says that the visitor shows interest in a topic.
type ShowInterest struct{ Kind, Topic string }

// Decide decides it.
func (c ShowInterest) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return []proto.Message{&channelv1.InterestShown{ContactId: s.ID, CustomerId: s.CustomerID, Kind: c.Kind, Topic: c.Topic}}, nil
}

// ClickBanner says that the visitor clicked a banner.
type ClickBanner struct{ PropositionID string }

// Decide decides it.
func (c ClickBanner) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return []proto.Message{&channelv1.BannerClicked{ContactId: s.ID, CustomerId: s.CustomerID, PropositionId: c.PropositionID}}, nil
}

// Respond is a response to an outbound lead, whatever channel had sent it.
type Respond struct {
	LeadID string
	Known  bool // whether a channel was to send it
	Answer journeyv1.Answer
}

// Decide decides it.
func (c Respond) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil || s.responses[c.LeadID] == c.Answer {
		return nil, err
	}
	if !c.Known {
		return nil, fault.Precondition("no channel was to send such a lead: look its id up again").WithReason("LEAD_UNKNOWN")
	}
	return []proto.Message{&channelv1.LeadResponseReceived{
		ContactId: s.ID, CustomerId: s.CustomerID, LeadId: c.LeadID, Answer: c.Answer, Channel: s.Channel,
	}}, nil
}

// Submit takes a visitor's request.
type Submit struct {
	RequestID string
	Kind      journeyv1.RequestKind
	Text      string
	At        time.Time
}

// Decide decides it. CRM can only own the request of a customer.
func (c Submit) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if s.CustomerID == "" {
		return nil, fault.Precondition("identify the visitor first").WithReason("VISITOR_NOT_IDENTIFIED")
	}
	return []proto.Message{&channelv1.RequestSubmitted{
		RequestId: c.RequestID, ContactId: s.ID, CustomerId: s.CustomerID, Kind: c.Kind, Text: c.Text, SubmittedAt: timestamppb.New(c.At),
	}}, nil
}

// Settle records what came of a request within its contact, once. The visitor
// may have left meanwhile.
type Settle struct {
	RequestID string
	Handling
}

// Decide decides it.
func (c Settle) Decide(s State) ([]proto.Message, error) {
	if s.ID == "" {
		return nil, errNotFound()
	}
	if _, settled := s.Handled(c.RequestID); settled {
		return nil, nil
	}
	if c.How == channelv1.Handling_HANDLING_STRAIGHT_THROUGH {
		return []proto.Message{&channelv1.RequestHandled{RequestId: c.RequestID, ContactId: s.ID, Reference: c.Detail}}, nil
	}
	return []proto.Message{&channelv1.RequestHandledInPart{RequestId: c.RequestID, ContactId: s.ID, Reason: c.Detail}}, nil
}
