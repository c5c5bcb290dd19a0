// Package registration answers a visitor's claims: it finds or registers the
// customer while the visitor is still in contact.
//
//	channel.IdentityClaimed ──▶ identify ──▶ sales.ContactRegistered
//	                                         (and sales.IdentityConflictFound)
package registration

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/spelling"
	"github.com/triangle-suite/triangle/services/sales/internal/customer"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
)

// State is who a contact's visitor was found to be.
type State struct {
	// Customers are all that the claims of this contact have led to, the last
	// one last.
	Customers []string
}

// Decider folds registration-<contact id>.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		if e, ok := event.(*salesv1.ContactRegistered); ok {
			s.Customers = append(slices.DeleteFunc(slices.Clone(s.Customers), func(id string) bool {
				return id == e.GetCustomerId()
			}), e.GetCustomerId())
		}
		return s
	},
}

// Stream is the stream of a contact's registration.
func Stream(contactID string) string { return "registration-" + contactID }

// Register answers the claims of a contact. Every cause gets its own answer, the
// same one too: who waits for it waits for it by its cause.
func Register(s State, contactID string, found customer.Found) []proto.Message {
	rivals := slices.Clone(found.Rivals)
	for _, id := range slices.Backward(s.Customers) {
		if id != found.CustomerID && !slices.Contains(rivals, id) {
			rivals = append(rivals, id)
		}
	}
	registered := &salesv1.ContactRegistered{
		ContactId: contactID, CustomerId: found.CustomerID, Identification: found.Identification,
	}
	if len(rivals) == 0 {
		return []proto.Message{registered}
	}
	conflict := &salesv1.IdentityConflictFound{ContactId: contactID, CustomerIds: append([]string{found.CustomerID}, rivals...)}
	return []proto.Message{conflict, registered}
}

// sourceContact is where a customer comes from who registers by getting in
// contact.
const sourceContact = "contact"

const flowName = "contacts"

// Consumer takes in the flow contacts.
func Consumer(streams *decider.Streams, registrar *customer.Registrar) (flow.Consumer, error) {
	f, ok := flows.Find(flowName)
	if !ok {
		return flow.Consumer{}, fmt.Errorf("the catalogue has no flow %q", flowName)
	}
	r := reaction{streams, registrar}
	return flow.Consumer{Flow: f, Reactions: []flow.Reaction{{
		Name: reactionName, Takes: takes, Answer: r.answer,
	}}}, nil
}

const reactionName = "register-contact"

func takes(e codec.Event) bool {
	_, ok := e.Message.(*channelv1.IdentityClaimed)
	return ok
}

type reaction struct {
	streams   *decider.Streams
	registrar *customer.Registrar
}

func (r reaction) answer(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
	claimed, ok := cause.Message.(*channelv1.IdentityClaimed)
	if !ok {
		return flow.Unprocessable(fmt.Errorf("%s is no claim", cause.Type))
	}
	claims := identity.Claims(claimed.GetCustomerNumber(), claimed.GetEmail(), claimed.GetPhone())
	if cause.Erased && len(claims) == 0 {
		return r.decline(ctx, cause, claimed.GetContactId(), "the visitor was erased")
	}
	found, err := r.registrar.Identify(ctx, cause.Origin.Step(), claims, person(claimed), sourceContact)
	if err != nil {
		return fmt.Errorf("identify the visitor: %w", err)
	}
	_, err = decider.Handle(ctx, r.streams, cause.Origin, Stream(claimed.GetContactId()), Decider,
		func(s State) ([]proto.Message, error) { return Register(s, claimed.GetContactId(), found), nil })
	return err
}

// decline records why a cause gets no other answer.
func (r reaction) decline(ctx context.Context, cause flow.Cause, contactID, reason string) error {
	declined := &flowv1.CauseExpired{Flow: flowName, Handler: reactionName, CauseId: cause.ID.String(), Reason: reason}
	_, err := decider.Handle(ctx, r.streams, cause.Origin, Stream(contactID), Decider,
		func(State) ([]proto.Message, error) { return []proto.Message{declined}, nil })
	return err
}

// person is what a visitor's claims tell of them.
func person(c *channelv1.IdentityClaimed) *journeyv1.Person {
	return &journeyv1.Person{
		GivenName: c.GetGivenName(), Surname: c.GetSurname(),
		Email: spelling.Email(c.GetEmail()), Phone: spelling.Phone(c.GetPhone()),
	}
}
