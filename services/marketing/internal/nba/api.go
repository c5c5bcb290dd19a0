package nba

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// API answers the calls about decisions.
type API struct {
	Streams *decider.Streams
	DB      *projection.DB
	// Consumers take in what decisions rest on.
	Consumers []flow.Consumer

	rebuilding sync.Mutex // the log is folded again by one call at a time
}

// GetDecision returns a decision for a contact, and explains it. It reads the
// contact's own stream, and so is always current.
func (a *API) GetDecision(
	ctx context.Context, req *marketingv1.GetDecisionRequest,
) (*marketingv1.GetDecisionResponse, error) {
	e, decided, err := a.find(ctx, req)
	if err != nil {
		return nil, err
	}
	return &marketingv1.GetDecisionResponse{
		DecisionId: decided.GetDecisionId(), CustomerId: decided.GetCustomerId(), CauseId: decided.GetCauseId(),
		DecidedAt: timestamppb.New(e.Metadata.Time), Actions: decided.GetActions(), Candidates: decided.GetCandidates(),
		Features: decided.GetFeatures(), ModelVersion: decided.GetModelVersion(), RestedOn: decided.GetRestedOn(),
		Group: decided.GetGroup(), Seed: decided.GetSeed(), ModelDigest: decided.GetModelDigest(),
	}, nil
}

// GetReplay makes a decision again from what it recorded, and changes nothing. Asked
// to, it holds what was recorded against the log first.
func (a *API) GetReplay(
	ctx context.Context, req *marketingv1.GetReplayRequest,
) (*marketingv1.GetReplayResponse, error) {
	_, decided, err := a.find(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.GetReplayResponse{
		DecisionId: decided.GetDecisionId(), ModelVersion: decided.GetModelVersion(), Candidates: uint32(len(decided.GetCandidates())),
		Outcome: marketingv1.ReplayOutcome_REPLAY_OUTCOME_SAME,
	}
	if req.GetInputs() == marketingv1.ReplayInputs_REPLAY_INPUTS_LOG {
		a.rebuilding.Lock()
		resp.Folded, err = rebuilder{streams: a.Streams, db: a.DB, consumers: a.Consumers}.verify(ctx, decided)
		a.rebuilding.Unlock()
	}
	if err == nil {
		err = Verify(decided)
	}
	for outcome, of := range map[marketingv1.ReplayOutcome]error{
		marketingv1.ReplayOutcome_REPLAY_OUTCOME_DIFFERS:       ErrDiffers,
		marketingv1.ReplayOutcome_REPLAY_OUTCOME_ERASED:        ErrErased,
		marketingv1.ReplayOutcome_REPLAY_OUTCOME_MODEL_UNKNOWN: ErrModel,
		marketingv1.ReplayOutcome_REPLAY_OUTCOME_NOT_REBUILT:   ErrNotRebuilt,
	} {
		if errors.Is(err, of) {
			resp.Outcome, resp.Difference, err = outcome, err.Error(), nil
			break
		}
	}
	return resp, err
}

// asked is a call about a decision.
type asked interface {
	GetContactId() string
	GetDecisionId() string
}

// find returns the decision that is asked for, or refuses the call.
func (a *API) find(ctx context.Context, req asked) (codec.Event, *marketingv1.NextBestActionsDecided, error) {
	var checks call.Checks
	checks.Required("contact_id", req.GetContactId())
	checks.Optional("decision_id", req.GetDecisionId())
	if err := checks.Err(); err != nil {
		return codec.Event{}, nil, err
	}
	e, decided, err := a.last(ctx, req.GetContactId(), req.GetDecisionId())
	switch {
	case err != nil:
		return e, nil, fmt.Errorf("look up the decision for contact %s: %w", req.GetContactId(), err)
	case decided == nil && req.GetDecisionId() != "":
		return e, nil, fault.NotFound("there is no decision %s for contact %s", req.GetDecisionId(), req.GetContactId())
	case decided == nil:
		return e, nil, fault.NotFound("nothing has been decided for contact %s", req.GetContactId())
	}
	return e, decided, nil
}

// last reads a contact's decisions from the end; causes that expired may stand
// after the last of them. It returns nil when there is none, or none of this id.
func (a *API) last(ctx context.Context, contact, id string) (codec.Event, *marketingv1.NextBestActionsDecided, error) {
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
		decided, ok := e.Message.(*marketingv1.NextBestActionsDecided)
		if ok && (id == "" || decided.GetDecisionId() == id) {
			return e, decided, nil
		}
	}
	return codec.Event{}, nil, nil
}
