// Package customer is CRM's knowledge of customers: who they are, what they
// bought, whether they let the company approach them.
//
//	claims, person ──▶ identities are reserved ──▶ CustomerRegistered ──▶ CustomerChanged
//	                                                       │              ConsentChanged
//	                                                       └────────────▶ OrderPlaced
//
// A registration may die between two of its steps. The customer's id derives
// from the first identity that was reserved, so that whoever meets that
// reservation next completes what was begun.
package customer

import (
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
)

// State is what CRM knows of a customer.
type State struct {
	Registered bool
	ID         string
	Number     string
	Person     *journeyv1.Person
	Consent    journeyv1.Consent
	Source     string
	Orders     map[string]*salesv1.OrderPlaced // by order id
	SpentCents int64
	// Erased is when the person was to be forgotten; nil when they were not.
	Erased *timestamppb.Timestamp
}

// Decider folds customer-<id>.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{Orders: map[string]*salesv1.OrderPlaced{}} },
	Evolve:  evolve,
}

// Stream is the stream of a customer.
func Stream(customerID string) string { return "customer-" + customerID }

func evolve(s State, event proto.Message) State {
	switch e := event.(type) {
	case *salesv1.CustomerRegistered:
		s.Registered = true
		s.ID, s.Number, s.Person, s.Source = e.GetCustomerId(), e.GetCustomerNumber(), e.GetPerson(), e.GetSource()
	case *salesv1.CustomerChanged:
		s.Person = e.GetPerson()
	case *salesv1.ConsentChanged:
		s.Consent = e.GetConsent()
	case *salesv1.CustomerErased:
		s.Erased, s.Person = e.GetErasedAt(), nil
	case *salesv1.OrderPlaced:
		s.Orders[e.GetOrderId()] = e
		s.SpentCents += e.GetAmountCents()
	}
	return s
}

// errIncomplete tells that there is something to write, and so that the
// identities are to be reserved first.
var errIncomplete = errors.New("the registration is not complete")

// Register makes a person a customer.
type Register struct {
	CustomerID string
	Number     string
	Person     *journeyv1.Person
	Source     string
	At         time.Time
	// Completes tells to fill in the person of a customer of whom nothing is
	// known but a number, as when an order came before its customer.
	Completes bool
	// Rivals are other customers who hold identities of this person.
	Rivals []string
}

// Decide registers the customer, once.
func (c Register) Decide(s State) ([]proto.Message, error) {
	if s.Registered {
		return c.complete(s), nil
	}
	return append([]proto.Message{&salesv1.CustomerRegistered{
		CustomerId: c.CustomerID, CustomerNumber: c.Number, Person: c.Person, Source: c.Source,
		RegisteredAt: timestamppb.New(c.At),
	}}, conflict(c.CustomerID, c.Rivals)...), nil
}

// DecideIfDone decides nothing on a customer who needs nothing, and fails with
// errIncomplete on another one.
func (c Register) DecideIfDone(s State) ([]proto.Message, error) {
	if !s.Registered || len(c.complete(s)) > 0 {
		return nil, errIncomplete
	}
	return nil, nil
}

// with adds what came of reserving the claims. A number becomes the customer's
// when its reservation is. Who is found by a visitor's claims leaves the record
// of rivals to the contact.
func (c Register) with(claims []identity.Claim, holders []string) Register {
	for i, claim := range claims {
		if claim.IsNumber() && holders[i] == c.CustomerID {
			c.Number = claim.Value
		}
	}
	if c.Completes {
		c.Rivals = others(holders, c.CustomerID)
	}
	return c
}

func (c Register) complete(s State) []proto.Message {
	if s.Erased != nil || !c.Completes || isEmpty(c.Person) || !isEmpty(s.Person) {
		return nil
	}
	changed := &salesv1.CustomerChanged{CustomerId: s.ID, Person: c.Person, ChangedAt: timestamppb.New(c.At)}
	return append([]proto.Message{changed}, conflict(s.ID, c.Rivals)...)
}

// conflict says that identities of a person are other customers'. Nobody is
// merged in silence.
func conflict(chosen string, rivals []string) []proto.Message {
	if len(rivals) == 0 {
		return nil
	}
	return []proto.Message{&salesv1.IdentityConflictFound{CustomerIds: append([]string{chosen}, rivals...)}}
}

// errUnknown is the refusal of a command on a customer whom nobody knows.
func errUnknown(customerID string) error {
	return fault.NotFound("there is no customer %s", customerID).WithReason("CUSTOMER_UNKNOWN")
}

// Change replaces what is known of a person.
type Change struct {
	CustomerID string
	Person     *journeyv1.Person
	At         time.Time
	Rivals     []string
}

// Decide changes the person, unless nothing changes.
func (c Change) Decide(s State) ([]proto.Message, error) {
	if !s.Registered {
		return nil, errUnknown(c.CustomerID)
	}
	if s.Erased != nil {
		return nil, errErased()
	}
	if proto.Equal(s.Person, c.Person) {
		return nil, nil
	}
	changed := &salesv1.CustomerChanged{CustomerId: s.ID, Person: c.Person, ChangedAt: timestamppb.New(c.At)}
	return append([]proto.Message{changed}, conflict(s.ID, c.Rivals)...), nil
}

// SetConsent records a customer's word.
type SetConsent struct {
	CustomerID string
	Consent    journeyv1.Consent
	At         time.Time
}

// Decide records the consent, unless it holds already.
func (c SetConsent) Decide(s State) ([]proto.Message, error) {
	if !s.Registered {
		return nil, errUnknown(c.CustomerID)
	}
	if s.Consent == c.Consent {
		return nil, nil
	}
	return []proto.Message{&salesv1.ConsentChanged{
		CustomerId: s.ID, Consent: c.Consent, ChangedAt: timestamppb.New(c.At),
	}}, nil
}

// Erase has a person forgotten.
type Erase struct {
	CustomerID, By, Reason string
	At                     time.Time
}

// Decide records that the person is to be forgotten, once.
func (c Erase) Decide(s State) ([]proto.Message, error) {
	if !s.Registered {
		return nil, errUnknown(c.CustomerID)
	}
	if s.Erased != nil {
		return nil, nil
	}
	return []proto.Message{&salesv1.CustomerErased{
		CustomerId: c.CustomerID, By: c.By, Reason: c.Reason, ErasedAt: timestamppb.New(c.At),
	}}, nil
}

// errErased is the refusal of what is personal of a person who was erased.
func errErased() *fault.Error {
	return fault.Precondition("the customer has been erased").WithReason("CUSTOMER_ERASED")
}

// PlaceOrder records a purchase.
type PlaceOrder struct {
	// Register is the customer's, should they be unknown.
	Register Register
	Order    *salesv1.OrderPlaced
}

// Decide records the order, once, and registers its customer before it. Another
// order under the same number is refused: one of the two would be lost.
func (c PlaceOrder) Decide(s State) ([]proto.Message, error) {
	if placed, ok := s.Orders[c.Order.GetOrderId()]; ok {
		if isSameOrder(placed, c.Order) {
			return nil, nil
		}
		return nil, fault.Conflict("the customer has another order of this number").WithReason("ORDER_NUMBER_TAKEN")
	}
	var events []proto.Message
	if !s.Registered {
		registered, err := c.Register.Decide(s)
		if err != nil {
			return nil, err
		}
		events = registered
	}
	return append(events, c.Order), nil
}

// isSameOrder compares what an order is about, wherever it came from.
func isSameOrder(a, b *salesv1.OrderPlaced) bool {
	return a.GetOrderedOn() == b.GetOrderedOn() && a.GetQuantity() == b.GetQuantity() && a.GetAmountCents() == b.GetAmountCents()
}
