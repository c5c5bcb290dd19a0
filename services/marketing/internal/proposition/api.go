package proposition

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Most is how many propositions there may be. A decision records all that it
// looked at in one event, and one event must fit into one append.
const Most = 500

// API answers the calls about propositions.
type API struct {
	Streams *decider.Streams
	DB      projection.Querier
	Origins call.Origins
}

// DefineProposition says what marketing may offer.
func (a *API) DefineProposition(
	ctx context.Context, req *marketingv1.DefinePropositionRequest,
) (*marketingv1.DefinePropositionResponse, error) {
	p, err := defined(req.GetProposition())
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_DefineProposition_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	full, err := a.isFull(ctx)
	if err != nil {
		return nil, err
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream(p.GetPropositionId()), Decider, func(s State) ([]proto.Message, error) {
		if s.Defined == nil && full {
			return nil, fault.Precondition("there are %d propositions already, which is as many as there may be", Most).
				WithReason("CATALOGUE_FULL")
		}
		return Define(s, p), nil
	})
	if err != nil {
		return nil, fmt.Errorf("define proposition %s: %w", p.GetPropositionId(), err)
	}
	return &marketingv1.DefinePropositionResponse{}, nil
}

func (a *API) isFull(ctx context.Context) (bool, error) {
	var n int
	if err := a.DB.QueryRow(ctx, `SELECT count(*) FROM own_proposition`).Scan(&n); err != nil {
		return false, fmt.Errorf("count the propositions: %w", err)
	}
	return n >= Most, nil
}

// ListPropositions returns the propositions, by their id.
func (a *API) ListPropositions(
	ctx context.Context, _ *marketingv1.ListPropositionsRequest,
) (*marketingv1.ListPropositionsResponse, error) {
	all, err := All(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.ListPropositionsResponse{}
	for _, d := range all {
		resp.Propositions = append(resp.Propositions, &marketingv1.Proposition{
			PropositionId: d.GetPropositionId(), Name: d.GetName(), Purpose: d.GetPurpose(), Topic: d.GetTopic(),
			ValueCents: d.GetValueCents(), Lever: d.GetLever(), BasePropensity: d.GetBasePropensity(), Contents: d.GetContents(),
		})
	}
	return resp, nil
}

// Find returns a proposition as it is defined now, from its stream; it fails
// with a fault when there is none.
func Find(ctx context.Context, s *decider.Streams, id string) (*marketingv1.PropositionDefined, error) {
	state, _, err := decider.Load(ctx, s, Stream(id), Decider)
	if err != nil {
		return nil, fmt.Errorf("look up proposition %s: %w", id, err)
	}
	if state.Defined == nil {
		return nil, fault.Precondition("there is no proposition %s: define it first", id).WithReason("PROPOSITION_UNKNOWN")
	}
	return state.Defined, nil
}
