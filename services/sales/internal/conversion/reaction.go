package conversion

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales/internal/lead"
)

// types are the events that tell of leads' yeses and of transactions.
var types = []string{"sales.LeadAgreed", "sales.OrderPlaced", "sales.RequestStatusChanged"}

// Consumer takes in the events of sales that tell of leads' yeses and of
// transactions.
func Consumer(streams *decider.Streams) flow.Consumer {
	own := flow.Own(flows.Sales, types, []string{"contact_id", "lead_id"})
	own.Name += "-conversion"
	return flow.Consumer{Flow: own, Reactions: []flow.Reaction{{
		Name:  "follow-to-transaction",
		Takes: takes,
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			return answer(ctx, streams, cause)
		},
	}}}
}

// takes tells whether an event is about a lead that was agreed to, or about what
// may have come of one. A complaint is no transaction.
func takes(e codec.Event) bool {
	switch m := e.Message.(type) {
	case *salesv1.LeadAgreed:
		return true
	case *salesv1.OrderPlaced:
		return m.GetLeadId() != "" || m.GetContactId() != ""
	case *salesv1.RequestStatusChanged:
		return m.GetContactId() != "" && m.GetStatus() == journeyv1.RequestStatus_REQUEST_STATUS_DONE &&
			m.GetKind() != journeyv1.RequestKind_REQUEST_KIND_COMPLAINT
	}
	return false
}

func answer(ctx context.Context, streams *decider.Streams, cause flow.Cause) error {
	r := reaction{streams, cause}
	switch m := cause.Message.(type) {
	case *salesv1.LeadAgreed:
		return r.agreed(ctx, m.GetContactId(), m.GetLeadId())
	case *salesv1.OrderPlaced:
		return r.transacted(ctx, m.GetContactId(), m.GetLeadId(), &salesv1.Transaction{
			OrderId: m.GetOrderId(), AmountCents: m.GetAmountCents(), CustomerId: m.GetCustomerId(), HappenedAt: timestamppb.New(cause.Created),
		})
	case *salesv1.RequestStatusChanged:
		happened := m.GetHappenedAt()
		if happened == nil { // it was finished here
			happened = timestamppb.New(cause.Created)
		}
		return r.transacted(ctx, m.GetContactId(), "", &salesv1.Transaction{
			RequestId: m.GetRequestId(), CustomerId: m.GetCustomerId(), HappenedAt: happened,
		})
	default:
		return flow.Unprocessable(fmt.Errorf("%s is nothing that a lead comes to", cause.Type))
	}
}

// reaction is the answer to one cause.
type reaction struct {
	streams *decider.Streams
	cause   flow.Cause
}

// note notes in a contact's stream what the cause tells of it, and returns what was
// noted: the first time, if the cause comes again.
func (r reaction) note(ctx context.Context, contactID string, decide func(State) []proto.Message) ([]proto.Message, error) {
	outcome, err := decider.Handle(ctx, r.streams, r.cause.Origin, Stream(contactID), Decider,
		func(s State) ([]proto.Message, error) { return decide(s), nil })
	return outcome.Events, err
}

// agreed links to a lead what the contact has come to already.
func (r reaction) agreed(ctx context.Context, contactID, leadID string) error {
	noted, err := r.note(ctx, contactID, func(s State) []proto.Message { return Agree(s, contactID, leadID) })
	if err != nil {
		return err
	}
	for _, e := range noted {
		if agreed, ok := e.(*salesv1.ContactAgreed); ok && len(agreed.GetTransactions()) > 0 {
			return r.link(ctx, leadID, agreed.GetTransactions()...)
		}
	}
	return nil
}

// transacted links a transaction to the lead that it names, and to those that were
// agreed to in its contact.
func (r reaction) transacted(ctx context.Context, contactID, named string, t *salesv1.Transaction) error {
	var leads []string
	if contactID != "" {
		noted, err := r.note(ctx, contactID, func(s State) []proto.Message { return Transact(s, contactID, t) })
		if err != nil {
			return err
		}
		for _, e := range noted {
			if transacted, ok := e.(*salesv1.ContactTransacted); ok {
				leads = slices.Clone(transacted.GetLeadIds())
			}
		}
	}
	if named != "" && !slices.Contains(leads, named) {
		leads = append(leads, named)
	}
	for _, id := range leads {
		if err := r.link(ctx, id, t); err != nil {
			return err
		}
	}
	return nil
}

func (r reaction) link(ctx context.Context, leadID string, transactions ...*salesv1.Transaction) error {
	command := lead.Transact{LeadID: leadID, Transactions: transactions}
	_, err := decider.Handle(ctx, r.streams, r.cause.Origin, lead.Stream(leadID), lead.Decider,
		func(s lead.State) ([]proto.Message, error) { return command.Decide(s), nil })
	return err
}
