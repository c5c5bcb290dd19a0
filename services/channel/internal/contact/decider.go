package contact

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Stream is the stream of a contact.
func Stream(id string) string { return "contact-" + id }

// State is where a contact stands.
type State struct {
	ID         string // empty until it has started
	Channel    journeyv1.Channel
	Began      journeyv1.Channel // where it began
	VisitorID  string            // the pseudonym of the visitor in the channel where it began, if there is one
	CustomerID string            // empty until the visitor is identified
	Claims     Claims            // what the visitor claimed last
	AgentID    string            // who took it over last, where somebody did
	Ended      channelv1.ContactOutcome
	Steps      uint32
	Touches    uint64            // how often anything was done in it that keeps it alive
	History    []*channelv1.Step // what the steps were

	presented map[string]journeyv1.Answer // by proposition; the answer since it was presented last
	responses map[string]journeyv1.Answer // by lead
	handled   map[string]Handling         // by request
	shown     map[string]string           // the variant of each experiment
}

// Claims is who a visitor claims to be.
type Claims struct{ CustomerNumber, Email, Phone, GivenName, Surname string }

// Handling is what came of a request within its contact: the back office's
// reference where it is done, or why it is pending.
type Handling struct {
	How    channelv1.Handling
	Detail string
}

// Decider is the pure core of a contact.
var Decider = decider.Decider[State]{
	Initial: func() State {
		return State{
			presented: map[string]journeyv1.Answer{},
			responses: map[string]journeyv1.Answer{},
			handled:   map[string]Handling{},
			shown:     map[string]string{},
		}
	},
	Evolve: evolve,
}

// evolve records an event. Steps counts what the visitor, or the channel with
// them, does in the contact: not what others make of it.
func evolve(s State, event proto.Message) State {
	if isTouch(event) {
		s.Touches++
	}
	switch e := event.(type) {
	case *channelv1.ContactStarted:
		s.ID, s.Channel, s.Began, s.VisitorID, s.CustomerID = e.GetContactId(), e.GetChannel(), e.GetChannel(), e.GetVisitorId(), e.GetCustomerId()
	case *channelv1.VisitorIdentified:
		s.CustomerID = e.GetCustomerId()
	case *channelv1.ContactEnded:
		s.Ended = e.GetOutcome()
	case *channelv1.VariantShown:
		s.shown[e.GetExperimentId()] = e.GetVariantId()
	case *channelv1.RequestHandled:
		s.handled[e.GetRequestId()] = Handling{channelv1.Handling_HANDLING_STRAIGHT_THROUGH, e.GetReference()}
	case *channelv1.RequestHandledInPart:
		s.handled[e.GetRequestId()] = Handling{channelv1.Handling_HANDLING_PENDING, e.GetReason()}
	default:
		return evolveStep(s, event)
	}
	return s
}

func evolveStep(s State, event proto.Message) State {
	step := stepOf(event)
	if step == nil {
		return s
	}
	step.Channel = s.Channel
	s.History = append(s.History, step)
	s.Steps++
	switch e := event.(type) {
	case *channelv1.IdentityClaimed:
		s.Claims = Claims{e.GetCustomerNumber(), e.GetEmail(), e.GetPhone(), e.GetGivenName(), e.GetSurname()}
	case *channelv1.PropositionPresented:
		s.presented[e.GetPropositionId()] = journeyv1.Answer_ANSWER_UNSPECIFIED
	case *channelv1.PropositionAnswered:
		s.presented[e.GetPropositionId()] = e.GetAnswer()
	case *channelv1.LeadResponseReceived:
		s.responses[e.GetLeadId()] = e.GetAnswer()
	case *channelv1.ContactHandedOver:
		s.Channel, s.AgentID = e.GetTo(), e.GetAgentId()
	}
	return s
}

// Handled tells what came of a request; ok is false while nobody knows.
func (s State) Handled(requestID string) (h Handling, ok bool) {
	h, ok = s.handled[requestID]
	return h, ok
}

// open refuses whatever can only happen while the contact goes on.
func (s State) open() error {
	switch {
	case s.ID == "":
		return errNotFound()
	case s.Ended == timedOut:
		return fault.Precondition("the contact has timed out, as nothing happened in it for long: start another one").WithReason("CONTACT_TIMED_OUT")
	case s.Ended != 0:
		return fault.Precondition("the contact has ended").WithReason("CONTACT_ENDED")
	}
	return nil
}

func errNotFound() error {
	return fault.NotFound("there is no such contact").WithReason("CONTACT_NOT_FOUND")
}

// Start begins a contact.
type Start struct {
	ID, VisitorID, CustomerID string
	Channel                   journeyv1.Channel
	Claims                    Claims // empty where the visitor makes none
	At                        time.Time
}

// Decide decides it.
func (c Start) Decide(s State) ([]proto.Message, error) {
	if s.ID != "" {
		return nil, nil
	}
	events := []proto.Message{&channelv1.ContactStarted{
		ContactId: c.ID, Channel: c.Channel, VisitorId: c.VisitorID, CustomerId: c.CustomerID, StartedAt: timestamppb.New(c.At),
	}}
	if c.Claims != (Claims{}) {
		events = append(events, c.Claims.event(c.ID))
	}
	return events, nil
}

// Claim says who the visitor claims to be.
type Claim struct{ Claims }

// Decide decides it.
func (c Claim) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil || s.Claims == c.Claims {
		return nil, err
	}
	return []proto.Message{c.event(s.ID)}, nil
}

func (c Claims) event(contactID string) *channelv1.IdentityClaimed {
	return &channelv1.IdentityClaimed{
		ContactId: contactID, CustomerNumber: c.CustomerNumber, Email: c.Email, Phone: c.Phone,
		GivenName: c.GivenName, Surname: c.Surname,
	}
}

// Identify says that CRM knows the visitor. It counts for a contact that has
// ended meanwhile, too: what happened in it belongs to the customer.
type Identify struct{ CustomerID string }

// Decide decides it.
func (c Identify) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.ID == "":
		return nil, errNotFound()
	case s.CustomerID == c.CustomerID:
		return nil, nil
	}
	return []proto.Message{&channelv1.VisitorIdentified{ContactId: s.ID, CustomerId: c.CustomerID, Channel: s.Channel}}, nil
}

// End ends a contact.
type End struct {
	Outcome channelv1.ContactOutcome
	At      time.Time
}

// Decide decides it.
func (c End) Decide(s State) ([]proto.Message, error) {
	if s.ID != "" && s.Ended == c.Outcome {
		return nil, nil
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return []proto.Message{&channelv1.ContactEnded{ContactId: s.ID, Outcome: c.Outcome, EndedAt: timestamppb.New(c.At)}}, nil
}
