// Package view keeps the operational customer view that channels are given:
// who the customer is, where they live, what they asked and is not done.
//
//	CustomerRegistered, CustomerChanged, ConsentChanged, ┐
//	OrderPlaced, RequestOpened, RequestStatusChanged     ┴▶ CustomerViewChanged, whole
//
// Each view is the one before it with one cause applied, once. That a cause
// changed nothing is on record too, so that none is applied again behind later
// ones.
package view

import (
	"slices"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// State is the last view of a customer.
type State struct {
	// View is nil while there is none.
	View *salesv1.CustomerViewChanged
}

// Decider folds view-<customer id>.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve: func(s State, event proto.Message) State {
		if view, ok := event.(*salesv1.CustomerViewChanged); ok {
			s.View = view
		}
		return s
	},
}

// Stream is the stream of a customer's views.
func Stream(customerID string) string { return "view-" + customerID }

// Decide shows the customer anew when the cause changes what is shown.
func Decide(s State, customerID string, cause proto.Message) []proto.Message {
	view := &salesv1.CustomerViewChanged{CustomerId: customerID}
	if s.View != nil {
		view = proto.CloneOf(s.View)
	}
	apply(view, cause)
	if proto.Equal(s.View, view) {
		return nil
	}
	return []proto.Message{view}
}

func apply(view *salesv1.CustomerViewChanged, cause proto.Message) {
	switch e := cause.(type) {
	case *salesv1.CustomerRegistered:
		view.CustomerNumber, view.Person = e.GetCustomerNumber(), e.GetPerson()
	case *salesv1.CustomerChanged:
		view.Person = e.GetPerson()
	case *salesv1.ConsentChanged:
		view.Consent = e.GetConsent()
	case *salesv1.OrderPlaced:
		view.Orders++
		view.SpentCents += e.GetAmountCents()
	case *salesv1.RequestOpened:
		show(view, &journeyv1.OpenRequest{
			RequestId: e.GetRequestId(), Kind: e.GetKind(), Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN,
		})
	case *salesv1.RequestStatusChanged:
		show(view, &journeyv1.OpenRequest{RequestId: e.GetRequestId(), Kind: e.GetKind(), Status: e.GetStatus()})
	}
}

// show shows where a request stands, or that it is done.
func show(view *salesv1.CustomerViewChanged, request *journeyv1.OpenRequest) {
	i := slices.IndexFunc(view.OpenRequests, func(r *journeyv1.OpenRequest) bool { return r.GetRequestId() == request.GetRequestId() })
	switch done := request.GetStatus() == journeyv1.RequestStatus_REQUEST_STATUS_DONE; {
	case done && i >= 0:
		view.OpenRequests = slices.Delete(view.OpenRequests, i, i+1)
	case done:
	case i < 0:
		view.OpenRequests = append(view.OpenRequests, request)
	default:
		view.OpenRequests[i] = request
	}
}
