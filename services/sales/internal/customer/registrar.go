package customer

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
	"github.com/triangle-suite/triangle/services/sales/internal/ids"
)

// Registrar finds customers by their identities, and registers those whom
// nobody knows. It is safe for concurrent use.
type Registrar struct {
	streams    *decider.Streams
	identities *identity.Registry
	lanes      lanes
}

// NewRegistrar returns a registrar.
func NewRegistrar(streams *decider.Streams, identities *identity.Registry) *Registrar {
	return &Registrar{streams: streams, identities: identities, lanes: newLanes()}
}

// Found is a customer who was found, or made.
type Found struct {
	CustomerID     string
	Identification salesv1.Identification
	// Rivals are other customers whom the claims match.
	Rivals []string
}

// Identify finds the customer whom a visitor's claims match; the strongest claim
// decides. A visitor whom none of them matches becomes a customer.
func (r *Registrar) Identify(ctx context.Context, origin decider.Origin, claims []identity.Claim, person *journeyv1.Person, source string) (Found, error) {
	holders, err := r.holders(ctx, claims)
	if err != nil {
		return Found{}, err
	}
	id, err := r.choose(ctx, origin, claims, holders)
	if err != nil {
		return Found{}, err
	}
	return r.settle(ctx, origin, claims, holders, Register{CustomerID: id, Person: person, Source: source, At: origin.Time})
}

// Register makes a person a customer. Where they have a customer number, it
// alone decides who they are: the company gave it. E-mail and phone of another
// customer stay that customer's, and the conflict is recorded.
func (r *Registrar) Register(ctx context.Context, origin decider.Origin, claims []identity.Claim, person *journeyv1.Person, source string) (Found, error) {
	deciding := claims
	if len(claims) > 0 && claims[0].IsNumber() {
		deciding = claims[:1]
	}
	holders, err := r.holders(ctx, deciding)
	if err != nil {
		return Found{}, err
	}
	id, err := r.choose(ctx, origin, deciding, holders)
	if err != nil {
		return Found{}, err
	}
	return r.settle(ctx, origin, claims, holders, Register{CustomerID: id, Person: person, Source: source, At: origin.Time, Completes: true})
}

// Number finds or reserves the customer of a customer number.
func (r *Registrar) Number(ctx context.Context, origin decider.Origin, number string) (customerID string, err error) {
	claims := identity.Claims(number, "", "")
	holders, err := r.holders(ctx, claims)
	if err != nil {
		return "", err
	}
	return r.choose(ctx, origin, claims, holders)
}

// Change replaces what is known of a person. They are recognised by their new
// e-mail address and phone from then on, where these are not another customer's.
func (r *Registrar) Change(ctx context.Context, origin decider.Origin, command Change) error {
	if _, err := r.known(ctx, command.CustomerID); err != nil {
		return err
	}
	claims := identity.Claims("", command.Person.GetEmail(), command.Person.GetPhone())
	holders, err := r.reserve(ctx, origin, claims, command.CustomerID)
	if err != nil {
		return err
	}
	command.Rivals = others(holders, command.CustomerID)
	_, err = r.handle(ctx, origin, command.CustomerID, command.Decide)
	return err
}

// known loads a customer who is registered.
func (r *Registrar) known(ctx context.Context, customerID string) (State, error) {
	state, _, err := decider.Load(ctx, r.streams, Stream(customerID), Decider)
	if err == nil && !state.Registered {
		err = errUnknown(customerID)
	}
	return state, err
}

func (r *Registrar) holders(ctx context.Context, claims []identity.Claim) ([]string, error) {
	holders := make([]string, len(claims))
	for i, claim := range claims {
		var err error
		if holders[i], err = r.identities.Holder(ctx, claim); err != nil {
			return nil, err
		}
	}
	return holders, nil
}

// choose returns the customer who holds the strongest claim that is held. When
// none is, the first is reserved for the customer whose id derives from it; who
// claims nothing gets an id that derives from the command.
func (r *Registrar) choose(ctx context.Context, origin decider.Origin, claims []identity.Claim, holders []string) (string, error) {
	if held := slices.IndexFunc(holders, func(id string) bool { return id != "" }); held >= 0 {
		return holders[held], nil
	}
	if len(claims) == 0 {
		return origin.NewID("customer").String(), nil
	}
	return r.identities.Reserve(ctx, origin, claims[0], ids.Customer(r.identities.Stream(claims[0])))
}

// settle registers the customer, should nobody have done so, with all claims
// that are free or theirs. The identities come first, so that a customer who is
// registered has all of theirs.
func (r *Registrar) settle(
	ctx context.Context, origin decider.Origin, claims []identity.Claim, holders []string, command Register,
) (Found, error) {
	outcome, err := r.handle(ctx, origin, command.CustomerID, command.DecideIfDone)
	if errors.Is(err, errIncomplete) {
		if holders, err = r.reserve(ctx, origin, claims, command.CustomerID); err != nil {
			return Found{}, err
		}
		outcome, err = r.handle(ctx, origin, command.CustomerID, command.with(claims, holders).Decide)
	}
	if err != nil {
		return Found{}, err
	}
	return Found{
		CustomerID: command.CustomerID, Identification: identification(outcome), Rivals: others(holders, command.CustomerID),
	}, nil
}

// reserve reserves what is free of the claims for the customer, and returns
// whose each is.
func (r *Registrar) reserve(ctx context.Context, origin decider.Origin, claims []identity.Claim, customerID string) ([]string, error) {
	holders := make([]string, len(claims))
	for i, claim := range claims {
		var err error
		if holders[i], err = r.identities.Reserve(ctx, origin, claim, customerID); err != nil {
			return nil, err
		}
	}
	return holders, nil
}

// others are the distinct holders other than the chosen one, in their order.
func others(holders []string, chosen string) []string {
	var rivals []string
	for _, id := range holders {
		if id != "" && id != chosen && !slices.Contains(rivals, id) {
			rivals = append(rivals, id)
		}
	}
	return rivals
}

// handle has a command decided on a customer. Commands on one customer queue
// here: they would only race each other for the stream.
func (r *Registrar) handle(
	ctx context.Context, origin decider.Origin, customerID string, decide func(State) ([]proto.Message, error),
) (decider.Outcome[State], error) {
	leave, err := r.lanes.enter(ctx, customerID)
	if err != nil {
		return decider.Outcome[State]{}, err
	}
	defer leave()
	return decider.Handle(ctx, r.streams, origin, Stream(customerID), Decider, decide)
}

// identification tells whether the command, now or when it came first, made the
// customer.
func identification(outcome decider.Outcome[State]) salesv1.Identification {
	for _, event := range outcome.Events {
		if _, ok := event.(*salesv1.CustomerRegistered); ok {
			return salesv1.Identification_IDENTIFICATION_NEW
		}
	}
	return salesv1.Identification_IDENTIFICATION_KNOWN
}
