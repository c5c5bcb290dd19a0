package contact

import (
	"context"
	"errors"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// IdentifyVisitor is the reaction to CRM's answer to a visitor's claims: from
// then on the contact has a customer. It runs however late the answer comes.
func IdentifyVisitor(streams *decider.Streams) flow.Reaction {
	return flow.Reaction{
		Name: "identify-visitor",
		Takes: func(e codec.Event) bool {
			_, ok := e.Message.(*salesv1.ContactRegistered)
			return ok
		},
		Late: flow.LatePolicy{Do: flow.RunLate},
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			m, ok := cause.Message.(*salesv1.ContactRegistered)
			if !ok || m.GetCustomerId() == "" {
				return flow.Unprocessable(errors.New("it names no customer"))
			}
			_, err := decider.Handle(ctx, streams, cause.Origin, Stream(m.GetContactId()), Decider, Identify{CustomerID: m.GetCustomerId()}.Decide)
			if fault.Is(err, fault.KindNotFound) {
				return flow.Unprocessable(err) // CRM answers a contact that never was
			}
			return err
		},
	}
}
