// Package request owns what customers ask: quotes, service, complaints.
//
//	           handled in part               done, says the back office
//	OPEN ─────────────────────▶ IN_PROGRESS ─────────────────────────▶ DONE
//	  │                           │     ▲  or whoever resolves it        ▲
//	  │                           └─────┘ the back office has it         │
//	  └──────────────────────────────────────────────────────────────────┘
//	                    handled straight through
//
// A request only moves forward. What the channel could not do within the contact
// is handed to the back office until it answers.
package request

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// The states of a request, in short.
const (
	statusOpen       = journeyv1.RequestStatus_REQUEST_STATUS_OPEN
	statusInProgress = journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS
	statusDone       = journeyv1.RequestStatus_REQUEST_STATUS_DONE
)

// State is what CRM knows of a request.
type State struct {
	// Opened is how it began; nil when there is no such request.
	Opened *salesv1.RequestOpened
	Status journeyv1.RequestStatus
	Detail string
	// WithBackOffice tells that the back office has taken it over.
	WithBackOffice bool
}

// Decider folds request-<id>.
var Decider = decider.Decider[State]{Initial: func() State { return State{} }, Evolve: evolve}

// Stream is the stream of a request.
func Stream(requestID string) string { return "request-" + requestID }

func evolve(s State, event proto.Message) State {
	switch e := event.(type) {
	case *salesv1.RequestOpened:
		s.Opened = e
	case *salesv1.RequestStatusChanged:
		// A request comes into progress when CRM takes it over; when that is said
		// again it is because the back office has it.
		s.WithBackOffice = s.Status == statusInProgress && e.GetStatus() == statusInProgress
		s.Status, s.Detail = e.GetStatus(), e.GetDetail()
	}
	return s
}

// status is the event that says where the request stands.
func (s State) status(status journeyv1.RequestStatus, detail string) *salesv1.RequestStatusChanged {
	return &salesv1.RequestStatusChanged{
		RequestId: s.Opened.GetRequestId(), CustomerId: s.Opened.GetCustomerId(), Kind: s.Opened.GetKind(),
		Status: status, Detail: detail,
	}
}

// Open takes a request over from a channel.
type Open struct {
	RequestID, CustomerID, ContactID string
	Kind                             journeyv1.RequestKind
	Text                             string
	SubmittedAt                      time.Time
}

// Decide opens the request, once.
func (c Open) Decide(s State) ([]proto.Message, error) {
	if s.Opened != nil {
		return nil, nil
	}
	s.Opened = &salesv1.RequestOpened{
		RequestId: c.RequestID, CustomerId: c.CustomerID, ContactId: c.ContactID,
		Kind: c.Kind, Text: c.Text, SubmittedAt: timestamppb.New(c.SubmittedAt),
	}
	return []proto.Message{s.Opened, s.status(statusOpen, "")}, nil
}

// errUnknown is the refusal of a command on a request that is not there.
func errUnknown(requestID string) error {
	return fault.NotFound("there is no request %s", requestID).WithReason("REQUEST_UNKNOWN")
}

// Advance moves a request forward.
type Advance struct {
	RequestID string
	To        journeyv1.RequestStatus
	Detail    string
}

// Decide moves the request, unless it is there or further.
func (c Advance) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Opened == nil:
		return nil, errUnknown(c.RequestID)
	case s.Status >= c.To:
		return nil, nil
	}
	return []proto.Message{s.status(c.To, c.Detail)}, nil
}

// RecordAnswer records what the back office said.
type RecordAnswer struct {
	RequestID string
	Done      bool
	Reference string
}

// Decide records the answer, unless the request needs none any more.
func (c RecordAnswer) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Opened == nil:
		return nil, errUnknown(c.RequestID)
	case !s.waits():
		return nil, nil
	case c.Done:
		return []proto.Message{s.status(statusDone, c.Reference)}, nil
	default:
		return []proto.Message{s.status(statusInProgress, c.Reference)}, nil
	}
}

// waits tells whether the request is to be handed to the back office.
func (s State) waits() bool { return s.Status == statusInProgress && !s.WithBackOffice }
