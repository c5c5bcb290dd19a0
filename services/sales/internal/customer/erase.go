package customer

import (
	"context"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// EraseCustomer forgets a person. The event comes first: from it on every service
// sees to it, whatever becomes of this call. The key is destroyed when it returns.
func (a *Customers) EraseCustomer(ctx context.Context, req *salesv1.EraseCustomerRequest) (*salesv1.EraseCustomerResponse, error) {
	var checks call.Checks
	command := Erase{
		CustomerID: checks.Required("customer_id", req.GetCustomerId()),
		By:         checks.Required("by", req.GetBy()), Reason: checks.Required("reason", req.GetReason()),
	}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_EraseCustomer_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	command.At = origin.Time
	if _, err := a.Registrar.handle(ctx, origin, command.CustomerID, command.Decide); err != nil {
		return nil, err
	}
	if err := erasure.Destroy(ctx, a.Ring, erasure.Customer, command.CustomerID, keyring.Erasure{By: command.By, Reason: command.Reason}); err != nil {
		return nil, err
	}
	return &salesv1.EraseCustomerResponse{}, nil
}
