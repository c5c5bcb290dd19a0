package nba

import (
	"context"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/types/known/timestamppb"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// API answers the calls about decisions.
type API struct {
	Streams *decider.Streams
}

// GetDecision returns the last decision for a contact, and explains it. It reads
// the contact's own stream, and so is always current.
func (a *API) GetDecision(
	ctx context.Context, req *marketingv1.GetDecisionRequest,
) (*marketingv1.GetDecisionResponse, error) {
	var checks call.Checks
	checks.Required("contact_id", req.GetContactId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	e, decided, err := a.last(ctx, req.GetContactId())
	if err != nil {
		return nil, fmt.Errorf("look up the decision for contact %s: %w", req.GetContactId(), err)
	}
	if decided == nil {
		return nil, fault.NotFound("nothing has been decided for contact %s", req.GetContactId())
	}
	return &marketingv1.GetDecisionResponse{
		DecisionId: decided.GetDecisionId(), CustomerId: decided.GetCustomerId(), CauseId: decided.GetCauseId(),
		DecidedAt: timestamppb.New(e.Metadata.Time), Actions: decided.GetActions(), Candidates: decided.GetCandidates(),
		Features: decided.GetFeatures(), ModelVersion: decided.GetModelVersion(), RestedOn: decided.GetRestedOn(),
	}, nil
}

// last reads a contact's decisions from the end; causes that expired may stand
// after the last of them. It returns nil when there is none.
func (a *API) last(ctx context.Context, contact string) (codec.Event, *marketingv1.NextBestActionsDecided, error) {
	for raw, err := range a.Streams.Log.ReadStream(ctx, Stream(contact), eventlog.Backward, math.MaxUint64, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return codec.Event{}, nil, nil
		}
		if err != nil {
			return codec.Event{}, nil, err
		}
		e, err := a.Streams.Codec.Decode(ctx, raw)
		if err != nil {
			return codec.Event{}, nil, err
		}
		if decided, ok := e.Message.(*marketingv1.NextBestActionsDecided); ok {
			return e, decided, nil
		}
	}
	return codec.Event{}, nil, nil
}
