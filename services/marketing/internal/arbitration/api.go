package arbitration

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// API answers the calls about how lists are made.
type API struct {
	Streams *decider.Streams
	DB      projection.Querier
	Origins call.Origins
}

// ConfigureArbitration says how lists are made from now on.
func (a *API) ConfigureArbitration(
	ctx context.Context, req *marketingv1.ConfigureArbitrationRequest,
) (*marketingv1.ConfigureArbitrationResponse, error) {
	wanted, err := configured(req.GetArbitration())
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_ConfigureArbitration_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream, Decider,
		func(s State) ([]proto.Message, error) { return Configure(s, wanted), nil })
	if err != nil {
		return nil, fmt.Errorf("configure the arbitration: %w", err)
	}
	return &marketingv1.ConfigureArbitrationResponse{}, nil
}

// GetArbitration returns how lists are made, as decisions know it now.
func (a *API) GetArbitration(
	ctx context.Context, _ *marketingv1.GetArbitrationRequest,
) (*marketingv1.GetArbitrationResponse, error) {
	now, err := Now(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	return &marketingv1.GetArbitrationResponse{Arbitration: now}, nil
}
