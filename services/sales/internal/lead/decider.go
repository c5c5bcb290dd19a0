// Package lead is lead management: it carries out what marketing's campaigns
// offer, within the capacity that channels grant, and follows each lead to its
// end.
//
//	               capacity              the channel                the customer
//	ACCEPTED ────────────────▶ DISPATCHED ──────────▶ SENT, FAILED ─────────────▶ CLOSED, CONVERTED
//	   ├── waited too long ──▶ EXPIRED                                              │
//	   └── marketing ────────▶ WITHDRAWN                  orders, finished requests ◀┘
//
// A lead only moves forward, and may skip steps: a customer can answer before a
// message was sent, and the flows that tell of it run at paces of their own.
// What does not fit a grant stays accepted, and waits for the next one, for as
// long as the channel's plan lets it. It is never lost: it is accepted, or what
// became of it is on record.
package lead

import (
	"cmp"
	"slices"
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
	statusWithdrawn  = salesv1.LeadStatus_LEAD_STATUS_WITHDRAWN
)

// rank orders the states: a lead goes from a lower one to a higher one only. A
// customer who said no may still say yes; a yes stays. One that expired, or was
// withdrawn, was not sent, and who heard of the offer elsewhere may still answer.
var rank = map[salesv1.LeadStatus]int{
	statusAccepted: 1, statusExpired: 2, statusWithdrawn: 2, statusDispatched: 2, statusSent: 3, statusFailed: 4, statusClosed: 5, statusConverted: 6,
}

// State is what lead management knows of a lead.
type State struct {
	// Accepted is how it was taken over; nil while it was not.
	Accepted   *salesv1.LeadAccepted
	LeadID     string
	CustomerID string
	Status     salesv1.LeadStatus
	Detail     string
	// Grant is the one that it was dispatched by.
	Grant string
	// Agreed are the contacts in which the customer has said yes.
	Agreed []string
	// Transactions are what came of it.
	Transactions []*salesv1.Transaction
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
		s.Status, s.Grant = statusDispatched, e.GetGrant()
	case *salesv1.LeadStatusChanged:
		s.Status, s.Detail, s.LeadID = e.GetStatus(), e.GetDetail(), e.GetLeadId()
		if s.CustomerID == "" {
			s.CustomerID = e.GetCustomerId()
		}
	case *salesv1.LeadAgreed:
		s.Agreed = append(slices.Clone(s.Agreed), e.GetContactId())
	case *salesv1.LeadTransacted:
		s.Transactions = append(slices.Clone(s.Transactions), e.GetTransaction())
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

// isLost tells that the lead will never be dispatched by a grant: it was by another
// one, or has ended, or was answered.
func (s State) isLost(grant string) bool { return s.Status != statusAccepted && s.Grant != grant }

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

// Withdraw ends a lead that marketing withdraws, unless it came too late: what was
// handed to its channel, or answered, goes on, and that is on record. A lead that comes
// after its withdrawal is taken over, and never dispatched.
type Withdraw struct {
	LeadID, CustomerID, Detail string
	// HappenedAt is when marketing withdrew it, by the store's clock.
	HappenedAt time.Time
}

// Decide ends the lead, or tells where it stood.
func (c Withdraw) Decide(s State) []proto.Message {
	switch s.Status {
	case statusWithdrawn, statusExpired: // it is sent no more
		return nil
	case statusAccepted, salesv1.LeadStatus_LEAD_STATUS_UNSPECIFIED:
		return Follow{LeadID: c.LeadID, CustomerID: c.CustomerID, To: statusWithdrawn, Detail: c.Detail, HappenedAt: c.HappenedAt}.Decide(s)
	default:
		return []proto.Message{&salesv1.LeadWithdrawalMissed{LeadId: c.LeadID, CustomerId: cmp.Or(s.CustomerID, c.CustomerID), Status: s.Status}}
	}
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

// Respond is a customer's answer to a lead.
type Respond struct {
	Follow

	// ContactID is the contact that it came in through, whatever channel that was in.
	ContactID string
}

// Decide moves the lead, and records in which contacts the customer has said yes:
// what is ordered or asked there comes of the lead.
func (c Respond) Decide(s State) []proto.Message {
	events := c.Follow.Decide(s)
	if c.To != statusConverted || c.ContactID == "" || slices.Contains(s.Agreed, c.ContactID) {
		return events
	}
	return append(events, &salesv1.LeadAgreed{
		LeadId: c.LeadID, ContactId: c.ContactID, CustomerId: c.CustomerID, HappenedAt: timestamp(c.HappenedAt),
	})
}

// Transact follows a lead to what came of it.
type Transact struct {
	LeadID       string
	Transactions []*salesv1.Transaction
}

// Decide records the transactions, each once. One converts the lead, if nobody has
// told that the customer said yes.
func (c Transact) Decide(s State) (events []proto.Message) {
	for _, t := range c.Transactions {
		if slices.ContainsFunc(s.Transactions, func(is *salesv1.Transaction) bool { return TransactionID(is) == TransactionID(t) }) {
			continue
		}
		converted := Follow{LeadID: c.LeadID, CustomerID: t.GetCustomerId(), To: statusConverted, Detail: "transacted", HappenedAt: t.GetHappenedAt().AsTime()}
		transacted := &salesv1.LeadTransacted{LeadId: c.LeadID, CustomerId: t.GetCustomerId(), Transaction: t}
		for _, e := range append(converted.Decide(s), transacted) {
			events, s = append(events, e), evolve(s, e)
		}
	}
	return events
}

// TransactionID is the id of the order, or of the request, that a transaction is.
func TransactionID(t *salesv1.Transaction) string { return cmp.Or(t.GetOrderId(), t.GetRequestId()) }

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
