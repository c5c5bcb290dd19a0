package experiment

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Stream is the stream of an experiment.
func Stream(id string) string { return "experiment-" + id }

// State is where an experiment stands.
type State struct {
	Defined *channelv1.ExperimentDefined // nil before that
	Ended   bool
}

// Decider is the pure core of an experiment.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  evolve,
}

func evolve(s State, event proto.Message) State {
	switch e := event.(type) {
	case *channelv1.ExperimentDefined:
		s.Defined = e
	case *channelv1.ExperimentEnded:
		s.Ended = true
	}
	return s
}

func errNotFound() error {
	return fault.NotFound("there is no such experiment: define it first").WithReason("EXPERIMENT_NOT_FOUND")
}

// Define has variants compared.
type Define struct {
	Experiment *channelv1.Experiment
	At         time.Time
}

// Decide decides it. Variants have been shown by what was defined first, so it
// stands as it is.
func (c Define) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Defined == nil:
	case proto.Equal(message(s.Defined), c.Experiment):
		return nil, nil
	default:
		return nil, fault.Precondition("the experiment was defined before, otherwise: define another one, of another name").WithReason("EXPERIMENT_DEFINED")
	}
	e := c.Experiment
	return []proto.Message{&channelv1.ExperimentDefined{
		ExperimentId: e.GetExperimentId(), Variants: e.GetVariants(), Outcome: e.GetOutcome(), Channels: e.GetChannels(),
		ErrorRate: e.GetErrorRate(), ExpectedRate: e.GetExpectedRate(), PlannedVisitors: e.GetPlannedVisitors(),
		DefinedAt: timestamppb.New(c.At),
	}}, nil
}

// message is an experiment as the API speaks of it.
func message(e *channelv1.ExperimentDefined) *channelv1.Experiment {
	return &channelv1.Experiment{
		ExperimentId: e.GetExperimentId(), Variants: e.GetVariants(), Outcome: e.GetOutcome(), Channels: e.GetChannels(),
		ErrorRate: e.GetErrorRate(), ExpectedRate: e.GetExpectedRate(), PlannedVisitors: e.GetPlannedVisitors(),
	}
}

// End ends an experiment.
type End struct{ At time.Time }

// Decide decides it.
func (c End) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.Defined == nil:
		return nil, errNotFound()
	case s.Ended:
		return nil, nil
	}
	return []proto.Message{&channelv1.ExperimentEnded{ExperimentId: s.Defined.GetExperimentId(), EndedAt: timestamppb.New(c.At)}}, nil
}

// Draw assigns the visitor of a contact a variant: the same whenever they come.
// hash is a keyed hash of a value of a kind, which nobody can aim at without the
// key.
func (s State) Draw(hash func(kind, value string) string) func(contact.State) (contact.Drawn, error) {
	return func(c contact.State) (contact.Drawn, error) {
		switch {
		case s.Defined == nil:
			return contact.Drawn{}, errNotFound()
		case s.Ended:
			return contact.Drawn{}, fault.Precondition("the experiment has ended: show what everybody gets").WithReason("EXPERIMENT_ENDED")
		case len(s.Defined.GetChannels()) > 0 && !slices.Contains(s.Defined.GetChannels(), c.Channel):
			return contact.Drawn{}, fault.Precondition("the experiment does not run in the contact's channel: show what everybody gets").WithReason("EXPERIMENT_NOT_IN_CHANNEL")
		}
		unit := hash("experiment "+s.Defined.GetExperimentId(), visitor(c))
		return contact.Drawn{VariantID: pick(s.Defined.GetVariants(), unit), Unit: unit}, nil
	}
}
