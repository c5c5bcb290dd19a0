package lead

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// API answers the calls about how many leads a customer gets.
type API struct {
	Streams *decider.Streams
	Origins call.Origins
}

// ConfigureLeadCaps says how many leads a customer gets from now on.
func (a *API) ConfigureLeadCaps(
	ctx context.Context, req *marketingv1.ConfigureLeadCapsRequest,
) (*marketingv1.ConfigureLeadCapsResponse, error) {
	wanted, err := configured(req.GetLeadCaps())
	if err != nil {
		return nil, err
	}
	if err := a.configure(ctx, marketingv1.MarketingService_ConfigureLeadCaps_FullMethodName, req, wanted); err != nil {
		return nil, err
	}
	return &marketingv1.ConfigureLeadCapsResponse{}, nil
}

// ClearLeadCaps ends all caps.
func (a *API) ClearLeadCaps(ctx context.Context, req *marketingv1.ClearLeadCapsRequest) (*marketingv1.ClearLeadCapsResponse, error) {
	if err := a.configure(ctx, marketingv1.MarketingService_ClearLeadCaps_FullMethodName, req, &marketingv1.LeadCapsConfigured{}); err != nil {
		return nil, err
	}
	return &marketingv1.ClearLeadCapsResponse{}, nil
}

func (a *API) configure(ctx context.Context, method string, req proto.Message, wanted *marketingv1.LeadCapsConfigured) error {
	origin, err := a.Origins(ctx, method, req)
	if err != nil {
		return err
	}
	_, err = decider.Handle(ctx, a.Streams, origin, CapsStream, CapsDecider,
		func(s Caps) ([]proto.Message, error) { return Configure(s, wanted), nil })
	if err != nil {
		return fmt.Errorf("configure the caps of leads: %w", err)
	}
	return nil
}

// GetLeadCaps returns how many leads a customer gets.
func (a *API) GetLeadCaps(
	ctx context.Context, _ *marketingv1.GetLeadCapsRequest,
) (*marketingv1.GetLeadCapsResponse, error) {
	caps, err := Now(ctx, a.Streams)
	if err != nil {
		return nil, err
	}
	return &marketingv1.GetLeadCapsResponse{LeadCaps: &marketingv1.LeadCaps{Caps: caps}}, nil
}
