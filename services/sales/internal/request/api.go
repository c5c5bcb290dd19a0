package request

import (
	"context"
	"fmt"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/sales/internal/process"
)

// Requests are the API's calls on requests.
type Requests struct {
	Streams *decider.Streams
	DB      *projection.DB
	// Origins makes the origins of calls.
	Origins call.Origins
	// Freshness tells how old what other services told is, flow by flow.
	Freshness func(names ...string) []*flowv1.Freshness
}

// GetRequest returns a request, from its own stream: always current, and without
// the visitor's words once they are erased.
func (a *Requests) GetRequest(ctx context.Context, req *salesv1.GetRequestRequest) (*salesv1.GetRequestResponse, error) {
	var checks call.Checks
	id := checks.Required("request_id", req.GetRequestId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	state, err := a.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return &salesv1.GetRequestResponse{Request: state.view(), Freshness: a.Freshness(flowName)}, nil
}

func (a *Requests) load(ctx context.Context, id string) (State, error) {
	state, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err == nil && state.Opened == nil {
		err = errUnknown(id)
	}
	return state, err
}

func (s State) view() *salesv1.Request {
	return &salesv1.Request{
		RequestId: s.Opened.GetRequestId(), CustomerId: s.Opened.GetCustomerId(), ContactId: s.Opened.GetContactId(),
		Kind: s.Opened.GetKind(), Status: s.Status, Detail: s.Detail, Text: s.Opened.GetText(),
	}
}

// maxListed bounds a list: nobody reads on, and each entry is a stream.
const maxListed = 200

// ListRequests returns a customer's requests, newest first.
func (a *Requests) ListRequests(ctx context.Context, req *salesv1.ListRequestsRequest) (*salesv1.ListRequestsResponse, error) {
	var checks call.Checks
	customerID := checks.Required("customer_id", req.GetCustomerId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	rows, err := a.DB.Query(ctx, `SELECT request_id FROM request WHERE customer_id = ? ORDER BY seq DESC, request_id LIMIT ?`, customerID, maxListed)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	ids, err := projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	response := &salesv1.ListRequestsResponse{Freshness: a.Freshness(flowName)}
	for _, id := range ids {
		state, err := a.load(ctx, id)
		if err != nil {
			return nil, err
		}
		response.Requests = append(response.Requests, state.view())
	}
	return response, nil
}

// ResolveRequest reports that a request is done.
func (a *Requests) ResolveRequest(ctx context.Context, req *salesv1.ResolveRequestRequest) (*salesv1.ResolveRequestResponse, error) {
	var checks call.Checks
	command := Advance{
		RequestID: checks.Required("request_id", req.GetRequestId()), To: statusDone, Detail: checks.OptionalText("detail", req.GetDetail()),
		By: process.Employee,
	}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_ResolveRequest_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	outcome, err := decider.Handle(ctx, a.Streams, origin, Stream(command.RequestID), Decider, command.Decide)
	if err != nil {
		return nil, err
	}
	return &salesv1.ResolveRequestResponse{Status: outcome.State.Status}, nil
}
