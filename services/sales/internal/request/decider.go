// Package request owns what customers ask: quotes, service, complaints.
//
//	           handled in part               done, says the back office
//	OPEN ─────────────────────▶ IN_PROGRESS ─────────────────────────▶ DONE
//	  │                           │     ▲  or whoever resolves it        ▲
//	  │                           └─────┘ the back office has it         │
//	  └──────────────────────────────────────────────────────────────────┘
//	                    handled straight through
//
// A request only moves forward, by the steps of the process for what is asked for
// (see package process). What the channel could not do within the contact is handed
// to the back office until it answers.
package request

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/sales/internal/process"
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
	// Step is the step of its process that it has come to.
	Step string
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
		s.Status, s.Detail, s.Step = e.GetStatus(), e.GetDetail(), stepOf(e, s.WithBackOffice)
	}
	return s
}

// stepOf is the step that an event tells. Events did not always name it.
func stepOf(e *salesv1.RequestStatusChanged, again bool) string {
	if e.GetStep() != "" {
		return e.GetStep()
	}
	times := 1
	if again {
		times = 2
	}
	return process.Of(e.GetKind()).At(e.GetStatus(), times)
}

// move takes the request to a status, by the step to which the mover may take it.
// When there is none the request is there, or further.
func (s State) move(to journeyv1.RequestStatus, by process.Mover, detail string, at time.Time) []proto.Message {
	step, moves := process.Of(s.Opened.GetKind()).Move(s.Step, to, by)
	if !moves {
		return nil
	}
	return []proto.Message{&salesv1.RequestStatusChanged{
		RequestId: s.Opened.GetRequestId(), CustomerId: s.Opened.GetCustomerId(), Kind: s.Opened.GetKind(),
		Status: to, Detail: detail, Step: step.Name, HappenedAt: timestamp(at), ContactId: s.Opened.GetContactId(),
	}}
}

// timestamp is a time as events have it; nil for the zero time, which is not known.
func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

// Open takes a request over from a channel.
type Open struct {
	RequestID, CustomerID, ContactID string
	Kind                             journeyv1.RequestKind
	Text                             string
	SubmittedAt                      time.Time
	// HappenedAt is when the channel took it in, by the store's clock.
	HappenedAt time.Time
}

// Decide opens the request, once.
func (c Open) Decide(s State) ([]proto.Message, error) {
	if s.Opened != nil {
		return nil, nil
	}
	s.Opened = &salesv1.RequestOpened{
		RequestId: c.RequestID, CustomerId: c.CustomerID, ContactId: c.ContactID,
		Kind: c.Kind, Text: c.Text, SubmittedAt: timestamppb.New(c.SubmittedAt), HappenedAt: timestamp(c.HappenedAt),
	}
	return append([]proto.Message{s.Opened}, s.move(statusOpen, process.Channel, "", c.HappenedAt)...), nil
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
	// By is who moves it.
	By process.Mover
	// HappenedAt is when they did, by the store's clock; the zero time means now.
	HappenedAt time.Time
}

// Decide moves the request, unless it is there or further.
func (c Advance) Decide(s State) ([]proto.Message, error) {
	if s.Opened == nil {
		return nil, errUnknown(c.RequestID)
	}
	return s.move(c.To, c.By, c.Detail, c.HappenedAt), nil
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
		return s.move(statusDone, process.BackOffice, c.Reference, time.Time{}), nil
	default:
		return s.move(statusInProgress, process.BackOffice, c.Reference, time.Time{}), nil
	}
}

// waits tells whether the request is to be handed to the back office.
func (s State) waits() bool { return s.Status == statusInProgress && !s.WithBackOffice }
