package contact

import (
	"cmp"
	"context"
	"slices"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// known is what the channel knows when it answers a call.
type known struct {
	contact  *channelv1.Contact
	customer *channelv1.CustomerView
	actions  *channelv1.Actions
}

// meet waits for what a call leads to: the list, and the customer view of a
// visitor whom CRM recognises meanwhile. Where the call leads to no list, it does
// not wait, and unasked says why.
func (a *API) meet(
	ctx context.Context, outcome decider.Outcome[State], origin decider.Origin, path []string, unasked string, budget time.Duration,
) (known, error) {
	state, until := outcome.State, time.Now().Add(budget)
	if len(outcome.Events) == 0 || path == nil {
		return a.known(ctx, state, nil, unasked)
	}
	actions, reason, err := a.await(ctx, state, origin, path, budget)
	if err != nil {
		return known{}, err
	}
	if slices.Contains(path, contactsFlow) {
		if err := a.awaitCustomer(ctx, state.ID, time.Until(until)); err != nil {
			return known{}, err
		}
		// CRM's answer has reached the contact's stream, if it came.
		if state, err = a.load(ctx, state.ID); err != nil {
			return known{}, err
		}
	}
	return a.known(ctx, state, actions, reason)
}

// contactsFlow is the flow over which CRM is asked who a visitor is.
const contactsFlow = "contacts"

// awaitCustomer waits until the channel has the view of the contact's customer:
// that of a new customer comes a moment after CRM's answer. It does not wait for
// flows that are not in real time.
func (a *API) awaitCustomer(ctx context.Context, contactID string, budget time.Duration) error {
	if !a.isRealTime(contactsFlow) || !a.isRealTime(customerview.Flow) {
		return nil
	}
	ctx, span := a.Streams.Tracer.Wait(ctx, customerview.Flow, budget)
	came, err := customerview.Await(ctx, a.DB, contactID, budget)
	outcome := tracing.TimeUp
	if came {
		outcome = tracing.Came
	}
	span.Waited(outcome, tracing.Origin{}, cmp.Or(err, deadline.Err(ctx))) // whoever calls may have gone
	return err
}

func (a *API) await(ctx context.Context, state State, origin decider.Origin, path []string, budget time.Duration) (*channelv1.Actions, string, error) {
	return a.Lists.Await(ctx, nba.Call{
		ContactID: state.ID, CorrelationID: origin.CorrelationID, Path: path, Budget: budget, Void: voidFor(state, path),
	})
}

// voidFor tells that a list is waited for in vain, as its customer is erased. Who the
// claims of a call lead to CRM tells on the way; otherwise the contact knows.
func voidFor(state State, path []string) func(context.Context, projection.Querier) (string, error) {
	return func(ctx context.Context, q projection.Querier) (reason string, err error) {
		customer := state.CustomerID
		if slices.Contains(path, contactsFlow) {
			if customer, err = customerview.CustomerOf(ctx, q, state.ID); customer == "" || err != nil {
				return "", err
			}
		}
		erased, err := erasure.Knows(ctx, q, customer)
		if erased {
			reason = "the customer is erased, and nothing is decided about them any more"
		}
		return reason, err
	}
}

// known is the answer for a contact: with the list that was decided for the
// call, or else with the last one, and the reason.
func (a *API) known(ctx context.Context, state State, decided *channelv1.Actions, reason string) (k known, err error) {
	k = known{contact: state.message(), actions: decided}
	if state.CustomerID != "" {
		if k.customer, err = customerview.Find(ctx, a.DB, state.CustomerID); err != nil {
			return known{}, err
		}
	}
	if decided == nil {
		k.actions, err = a.Lists.LastKnown(ctx, state.ID, state.CustomerID, reason)
	}
	return k, err
}
