// Package conversion follows leads to what came of them: orders, and requests that
// are finished.
//
//	LeadAgreed in contact c ──────────┐                  ┌─▶ LeadTransacted of each lead
//	OrderPlaced in contact c ─────────┼─▶ conversion-<c> ┤
//	RequestStatusChanged, done, of c ─┘                  └─▶ and of what comes later
//	OrderPlaced of lead l ──────────────────────────────────▶ LeadTransacted of l
//
// The customer's yes and the transaction come over flows of their own, in either
// order; they meet in the stream of the contact that both were in, whatever channel
// it was in. What each found there is part of what it notes, so a cause that comes
// again links what it linked at first, whatever has come to the contact since.
package conversion

import (
	"slices"

	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/sales/internal/lead"
)

// State is what happened in a contact.
type State struct {
	// Leads are those that were agreed to.
	Leads []string
	// Transactions are what was ordered, and the requests that are finished.
	Transactions []*salesv1.Transaction
}

// Decider folds conversion-<contact id>.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		switch e := event.(type) {
		case *salesv1.ContactAgreed:
			s.Leads = append(slices.Clone(s.Leads), e.GetLeadId())
		case *salesv1.ContactTransacted:
			s.Transactions = append(slices.Clone(s.Transactions), e.GetTransaction())
		}
		return s
	},
}

// Stream is the stream of what leads came to in a contact.
func Stream(contactID string) string { return "conversion-" + contactID }

// Agree notes that a lead was agreed to, once, and what came of it already.
func Agree(s State, contactID, leadID string) []proto.Message {
	if slices.Contains(s.Leads, leadID) {
		return nil
	}
	return []proto.Message{&salesv1.ContactAgreed{ContactId: contactID, LeadId: leadID, Transactions: s.Transactions}}
}

// Transact notes a transaction, once, and the leads that it came of.
func Transact(s State, contactID string, t *salesv1.Transaction) []proto.Message {
	is := func(known *salesv1.Transaction) bool { return lead.TransactionID(known) == lead.TransactionID(t) }
	if slices.ContainsFunc(s.Transactions, is) {
		return nil
	}
	return []proto.Message{&salesv1.ContactTransacted{ContactId: contactID, Transaction: t, LeadIds: s.Leads}}
}
