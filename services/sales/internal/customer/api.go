package customer

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
	"github.com/triangle-suite/triangle/services/sales/internal/ids"
)

// Customers are the API's calls on customers and their orders.
type Customers struct {
	// Registrar finds and registers customers.
	Registrar *Registrar
	// Origins makes the origins of calls.
	Origins call.Origins
	// Freshness tells how old what other services told is, flow by flow.
	Freshness func(names ...string) []*flowv1.Freshness
	// Ring holds the keys of persons.
	Ring keyring.Ring
	// KnowsLead tells whether there is a lead.
	KnowsLead func(ctx context.Context, leadID string) (bool, error)
}

// sourceOrder is where a customer comes from whom an order registers that does
// not say where it comes from itself.
const sourceOrder = "order"

// RegisterCustomer makes a person a customer.
func (a *Customers) RegisterCustomer(ctx context.Context, req *salesv1.RegisterCustomerRequest) (*salesv1.RegisterCustomerResponse, error) {
	var checks call.Checks
	number := checks.Optional("customer_number", req.GetCustomerNumber())
	person := spelled(&checks, "person", req.GetPerson())
	source := checks.Optional("source", req.GetSource())
	checks.That(number != "" || !isEmpty(person), "person", "is missing: without a customer number something must be known of the person")
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_RegisterCustomer_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	claims := identity.Claims(number, person.GetEmail(), person.GetPhone())
	found, err := a.Registrar.Register(ctx, origin, claims, person, source)
	if err != nil {
		return nil, refuseErased(err)
	}
	return &salesv1.RegisterCustomerResponse{CustomerId: found.CustomerID, Identification: found.Identification}, nil
}

// ChangeCustomer replaces what is known of a person.
func (a *Customers) ChangeCustomer(ctx context.Context, req *salesv1.ChangeCustomerRequest) (*salesv1.ChangeCustomerResponse, error) {
	var checks call.Checks
	command := Change{CustomerID: checks.Required("customer_id", req.GetCustomerId()), Person: spelled(&checks, "person", req.GetPerson())}
	checks.That(!isEmpty(command.Person), "person", "is missing")
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_ChangeCustomer_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	command.At = origin.Time
	if err := a.Registrar.Change(ctx, origin, command); err != nil {
		return nil, refuseErased(err)
	}
	return &salesv1.ChangeCustomerResponse{}, nil
}

// ChangeConsent records a customer's word.
func (a *Customers) ChangeConsent(ctx context.Context, req *salesv1.ChangeConsentRequest) (*salesv1.ChangeConsentResponse, error) {
	var checks call.Checks
	command := SetConsent{CustomerID: checks.Required("customer_id", req.GetCustomerId()), Consent: req.GetConsent()}
	given := command.Consent == journeyv1.Consent_CONSENT_GRANTED || command.Consent == journeyv1.Consent_CONSENT_WITHDRAWN
	checks.That(given, "consent", "must be CONSENT_GRANTED or CONSENT_WITHDRAWN")
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_ChangeConsent_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	command.At = origin.Time
	if _, err := a.Registrar.handle(ctx, origin, command.CustomerID, command.Decide); err != nil {
		return nil, err
	}
	return &salesv1.ChangeConsentResponse{}, nil
}

// besides decides on an order. A newer build, which tests roll out beside this one,
// puts one of its own in its place.
var besides = func(_ *codec.Codec, c PlaceOrder) func(State) ([]proto.Message, error) { return c.Decide }

// PlaceOrder records a purchase.
func (a *Customers) PlaceOrder(ctx context.Context, req *salesv1.PlaceOrderRequest) (*salesv1.PlaceOrderResponse, error) {
	number, order, err := checkOrder(req)
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_PlaceOrder_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	if err := a.checkLead(ctx, order.GetLeadId()); err != nil {
		return nil, err
	}
	id, err := a.Registrar.Number(ctx, origin, number)
	if err != nil {
		return nil, err
	}
	order.CustomerId = id
	register := Register{CustomerID: id, Number: number, Source: order.GetSource(), At: origin.Time}
	if register.Source == "" {
		register.Source = sourceOrder
	}
	if _, err := a.Registrar.handle(ctx, origin, id, besides(a.Registrar.streams.Codec, PlaceOrder{Register: register, Order: order})); err != nil {
		return nil, err
	}
	return &salesv1.PlaceOrderResponse{OrderId: order.GetOrderId(), CustomerId: id}, nil
}

// checkLead refuses an order of a lead that lead management does not know.
func (a *Customers) checkLead(ctx context.Context, leadID string) error {
	if leadID == "" {
		return nil
	}
	known, err := a.KnowsLead(ctx, leadID)
	if err == nil && !known {
		err = fault.Precondition("there is no lead %s: leave lead_id out, or wait until lead management has taken the lead over", leadID).WithReason("LEAD_UNKNOWN")
	}
	return err
}

func checkOrder(req *salesv1.PlaceOrderRequest) (number string, order *salesv1.OrderPlaced, err error) {
	var checks call.Checks
	number = checks.Required("customer_number", req.GetCustomerNumber())
	orderNumber := checks.Required("order_number", req.GetOrderNumber())
	order = &salesv1.OrderPlaced{
		OrderId:     ids.Order(number, orderNumber),
		OrderedOn:   checks.Date("ordered_on", req.GetOrderedOn()),
		Quantity:    req.GetQuantity(),
		AmountCents: req.GetAmountCents(),
		LeadId:      checks.Optional("lead_id", req.GetLeadId()),
		Source:      checks.Optional("source", req.GetSource()),
		ContactId:   checks.Optional("contact_id", req.GetContactId()),
	}
	checks.That(order.GetQuantity() > 0, "quantity", "must be above 0")
	checks.That(order.GetAmountCents() >= 0, "amount_cents", "must not be below 0")
	return number, order, checks.Err()
}

// GetCustomer returns the customer view. It is read from the customer's own
// stream: always current, and without the person once they are erased.
func (a *Customers) GetCustomer(ctx context.Context, req *salesv1.GetCustomerRequest) (*salesv1.GetCustomerResponse, error) {
	id, err := a.customerID(ctx, req)
	if err != nil {
		return nil, err
	}
	state, err := a.Registrar.known(ctx, id)
	if err != nil {
		return nil, err
	}
	return &salesv1.GetCustomerResponse{Customer: state.view(), Freshness: a.Freshness("contacts")}, nil
}

func (a *Customers) customerID(ctx context.Context, req *salesv1.GetCustomerRequest) (string, error) {
	var checks call.Checks
	switch by := req.GetBy().(type) {
	case *salesv1.GetCustomerRequest_CustomerId:
		id := checks.Required("customer_id", by.CustomerId)
		return id, checks.Err()
	case *salesv1.GetCustomerRequest_CustomerNumber:
		claims := identity.Claims(checks.Required("customer_number", by.CustomerNumber), "", "")
		if err := checks.Err(); err != nil {
			return "", err
		}
		id, err := a.Registrar.identities.Holder(ctx, claims[0])
		if err == nil && id == "" {
			err = fault.NotFound("there is no customer of this number").WithReason("CUSTOMER_UNKNOWN")
		}
		return id, err
	default:
		checks.That(false, "customer_id", "is missing: give customer_id or customer_number")
		return "", checks.Err()
	}
}

func (s State) view() *salesv1.Customer {
	return &salesv1.Customer{
		CustomerId: s.ID, CustomerNumber: s.Number, Person: proto.CloneOf(s.Person), Consent: s.Consent,
		Orders: uint32(len(s.Orders)), SpentCents: s.SpentCents, Source: s.Source,
		ErasedAt: s.Erased,
	}
}

// refuseErased refuses to write of a person who was erased: their key is gone
// for good.
func refuseErased(err error) error {
	if errors.Is(err, keyring.ErrDestroyed) {
		return errErased().Because(err)
	}
	return err
}
