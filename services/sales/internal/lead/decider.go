// Package lead is lead management: it carries out what marketing's campaigns
// offer, within the capacity that channels grant, and follows each lead to its
// end.
//
//	               capacity              the channel                the customer
//	ACCEPTED ────────────────▶ DISPATCHED ──────────▶ SENT, FAILED ─────────────▶ CLOSED, CONVERTED
//	   └── waited too long ──▶ EXPIRED
//
// A lead only moves forward, and may skip steps: a customer can answer before a
// message was sent, and the flows that tell of it run at paces of their own.
// What does not fit a grant stays accepted, and waits for the next one, for as
// long as the channel's plan lets it. It is never lost: it is accepted, or what
// became of it is on record.
package lead

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/sales/internal/ids"
)

// The states of a lead, in short.
const (
	statusAccepted   = salesv1.LeadStatus_LEAD_STATUS_ACCEPTED
	statusDispatched = salesv1.LeadStatus_LEAD_STATUS_DISPATCHED
	statusSent       = salesv1.LeadStatus_LEAD_STATUS_SENT
	statusFailed     = salesv1.LeadStatus_LEAD_STATUS_FAILED
	statusClosed     = salesv1.LeadStatus_LEAD_STATUS_CLOSED
	statusConverted  = salesv1.LeadStatus_LEAD_STATUS_CONVERTED
	statusExpired    = salesv1.LeadStatus_LEAD_STATUS_EXPIRED
)

// rank orders the states: a lead goes from a lower one to a higher one only. A
// customer who said no may still say yes; a yes stays. One that expired was not
// sent, and who heard of the offer elsewhere may still answer.
var rank = map[salesv1.LeadStatus]int{
	statusAccepted: 1, statusExpired: 2, statusDispatched: 2, statusSent: 3, statusFailed: 4, statusClosed: 5, statusConverted: 6,
}

// State is what lead management knows of a lead.
type State struct {
	// Accepted is how it was taken over; nil while it was not.
	Accepted   *salesv1.LeadAccepted
	LeadID     string
	CustomerID string
	Status     salesv1.LeadStatus
	Detail     string
}

// Decider folds lead-<id>.
var Decider = decider.Decider[State]{Initial: func() State { return State{} }, Evolve: evolve}

// Stream is the stream of a lead.
func Stream(leadID string) string { return "lead-" + leadID }

func evolve(s State, event proto.Message) State {
	switch e := event.(type) {
	case *salesv1.LeadAccepted:
		s.Accepted, s.LeadID, s.CustomerID = e, e.GetLeadId(), e.GetCustomerId()
		if s.Status == salesv1.LeadStatus_LEAD_STATUS_UNSPECIFIED {
			s.Status = statusAccepted
		}
	case *salesv1.DispatchOrdered:
		s.Status = statusDispatched
	case *salesv1.LeadStatusChanged:
		s.Status, s.Detail, s.LeadID = e.GetStatus(), e.GetDetail(), e.GetLeadId()
		if s.CustomerID == "" {
			s.CustomerID = e.GetCustomerId()
		}
	}
	return s
}

// Accept takes a lead over from marketing, once.
func Accept(s State, lead *salesv1.LeadAccepted) []proto.Message {
	if s.Accepted != nil {
		return nil
	}
	return []proto.Message{lead}
}

// Dispatch hands an accepted lead to its channel, within a grant.
func Dispatch(s State, grant string) []proto.Message {
	if s.Accepted == nil || s.Status != statusAccepted {
		return nil
	}
	a := s.Accepted
	return []proto.Message{&salesv1.DispatchOrdered{
		LeadId: a.GetLeadId(), MessageId: ids.Message(a.GetLeadId()), CustomerId: a.GetCustomerId(), Channel: a.GetChannel(),
		PropositionId: a.GetPropositionId(), Content: a.GetContent(), Grant: grant,
	}}
}

// Expire ends an accepted lead that has waited for capacity for so long.
func Expire(s State, patience time.Duration) []proto.Message {
	if s.Accepted == nil || s.Status != statusAccepted {
		return nil
	}
	detail := "waited for capacity for longer than " + patience.String()
	return []proto.Message{&salesv1.LeadStatusChanged{LeadId: s.LeadID, CustomerId: s.CustomerID, Status: statusExpired, Detail: detail}}
}

// Follow is what became of a lead.
type Follow struct {
	LeadID, CustomerID string
	To                 salesv1.LeadStatus
	Detail             string
	// HappenedAt is when it came there, by the store's clock.
	HappenedAt time.Time
}

// Decide moves the lead, unless it is there or further.
func (c Follow) Decide(s State) []proto.Message {
	if rank[s.Status] >= rank[c.To] {
		return nil
	}
	customerID := s.CustomerID
	if customerID == "" {
		customerID = c.CustomerID
	}
	return []proto.Message{&salesv1.LeadStatusChanged{LeadId: c.LeadID, CustomerId: customerID, Status: c.To, Detail: c.Detail, HappenedAt: timestamp(c.HappenedAt)}}
}

// timestamp is a time as events have it; nil for the zero time, which is not known.
func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

// answered is where a customer's answer takes a lead.
func answered(answer journeyv1.Answer) (salesv1.LeadStatus, string) {
	switch answer {
	case journeyv1.Answer_ANSWER_ACCEPTED:
		return statusConverted, "accepted"
	case journeyv1.Answer_ANSWER_REJECTED:
		return statusClosed, "rejected"
	case journeyv1.Answer_ANSWER_LATER:
		return statusClosed, "asked for another time"
	default:
		return salesv1.LeadStatus_LEAD_STATUS_UNSPECIFIED, ""
	}
}
