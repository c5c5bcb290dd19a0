package experiment

import (
	"context"
	"fmt"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/channel/internal/eventkind"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// API is the part of the channel's API that is about experiments.
type API struct {
	Streams *decider.Streams
	DB      *projection.DB
	Origins call.Origins
	Kinds   *eventkind.Kinds
	// Hash is the key ring's.
	Hash func(kind, value string) string
}

// DefineExperiment has ways in which a contact looks, or is handled, compared.
func (a *API) DefineExperiment(ctx context.Context, request *channelv1.DefineExperimentRequest) (*channelv1.DefineExperimentResponse, error) {
	var checks call.Checks
	e := checked(&checks, request.GetExperiment())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	if err := a.checkKind(ctx, e.GetOutcome().GetEventKind()); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_DefineExperiment_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	define := Define{Experiment: e, At: origin.Time}
	if _, err := decider.Handle(ctx, a.Streams, origin, Stream(e.GetExperimentId()), Decider, define.Decide); err != nil {
		return nil, err
	}
	return &channelv1.DefineExperimentResponse{}, nil
}

// checkKind refuses an outcome of a kind that nobody can record.
func (a *API) checkKind(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	kind, err := a.Kinds.Find(ctx, name)
	if err == nil && kind == nil {
		err = fault.Invalid(fault.Field("experiment.outcome.event_kind", "is registered nowhere: register its schema first"))
	}
	return err
}

// EndExperiment has no further visitor assigned a variant.
func (a *API) EndExperiment(ctx context.Context, request *channelv1.EndExperimentRequest) (*channelv1.EndExperimentResponse, error) {
	var checks call.Checks
	id := checks.Required("experiment_id", request.GetExperimentId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_EndExperiment_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	if _, err := decider.Handle(ctx, a.Streams, origin, Stream(id), Decider, End{At: origin.Time}.Decide); err != nil {
		return nil, err
	}
	return &channelv1.EndExperimentResponse{}, nil
}

// ShowVariant tells which variant of an experiment to show in a contact, and
// records that it is shown. It looks at the experiment's own stream, so that
// nobody is assigned a variant when the end has been answered.
func (a *API) ShowVariant(ctx context.Context, request *channelv1.ShowVariantRequest) (*channelv1.ShowVariantResponse, error) {
	var checks call.Checks
	contactID := checks.Required("contact_id", request.GetContactId())
	id := checks.Required("experiment_id", request.GetExperimentId())
	by := contact.CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_ShowVariant_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	experiment, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err != nil {
		return nil, err
	}
	show := by.Takes(contact.Show{ExperimentID: id, Draw: experiment.Draw(a.Hash)})
	outcome, err := decider.Handle(ctx, a.Streams, origin, contact.Stream(contactID), contact.Decider, show.Decide)
	if err != nil {
		return nil, err
	}
	variant, _ := outcome.State.Shown(id)
	return &channelv1.ShowVariantResponse{VariantId: variant}, nil
}

// GetExperiment returns an experiment with its result so far.
func (a *API) GetExperiment(ctx context.Context, request *channelv1.GetExperimentRequest) (*channelv1.GetExperimentResponse, error) {
	var checks call.Checks
	id := checks.Required("experiment_id", request.GetExperimentId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	results, err := read(ctx, a.DB, id)
	if err != nil {
		return nil, fmt.Errorf("look an experiment up: %w", err)
	}
	if len(results) == 0 {
		return nil, errNotFound()
	}
	return &channelv1.GetExperimentResponse{Result: results[0]}, nil
}

// ListExperiments returns all experiments, by their id.
func (a *API) ListExperiments(ctx context.Context, _ *channelv1.ListExperimentsRequest) (*channelv1.ListExperimentsResponse, error) {
	results, err := read(ctx, a.DB, "")
	if err != nil {
		return nil, fmt.Errorf("list experiments: %w", err)
	}
	return &channelv1.ListExperimentsResponse{Results: results}, nil
}
