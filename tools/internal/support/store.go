package support

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
)

// Store are the parts that the event store tells: what its flows are at, what was done to
// each, and which builds of the services run.
func Store(steered *control.Flows) []Part {
	parts := []Part{{"services.json", func(ctx context.Context) ([]byte, error) { return services(ctx, steered) }}}
	for _, flow := range flows.Catalogue {
		parts = append(parts, Part{"flows/" + flow.Name + ".json", func(ctx context.Context) ([]byte, error) {
			return flowOf(ctx, steered, flow.Name)
		}})
	}
	return parts
}

// told is an event, as JSON tells it.
type told struct {
	At    time.Time       `json:"at"`
	Type  string          `json:"type"`
	Event json.RawMessage `json:"event"`
}

func tell(at time.Time, m proto.Message) (told, error) {
	event, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	return told{at, string(m.ProtoReflect().Descriptor().FullName()), event}, err
}

func tellAll(entries []control.Entry) (all []told, err error) {
	for _, e := range entries {
		one, err := tell(e.At, e.Event)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func flowOf(ctx context.Context, steered *control.Flows, name string) ([]byte, error) {
	state, err := steered.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	entries, err := steered.History(ctx, name)
	if err != nil {
		return nil, err
	}
	document := struct {
		Flow           string `json:"flow"`
		Cadence        string `json:"cadence"`
		Epoch          uint64 `json:"epoch"`
		Requested      string `json:"requested"`
		RequestedEpoch uint64 `json:"requested_epoch"`
		Progress       *told  `json:"progress"` // null: the consumer has told nothing
		History        []told `json:"history"`
	}{Flow: name, Cadence: state.Cadence, Requested: state.Requested, Epoch: state.Epoch, RequestedEpoch: state.RequestedEpoch}
	if state.Progress != nil {
		progress, err := tell(state.ToldAt, state.Progress)
		if err != nil {
			return nil, err
		}
		document.Progress = &progress
	}
	if document.History, err = tellAll(entries); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

// service is what the store tells of one.
type service struct {
	Name      flows.Service `json:"name"`
	Contracts int           `json:"contracts"`
	Images    []string      `json:"images"`
	Replicas  []replica     `json:"replicas"`
	Rollouts  []told        `json:"rollouts"`
}

type replica struct {
	Instance string    `json:"instance"`
	Build    string    `json:"build"`
	Image    string    `json:"image"`
	Since    time.Time `json:"since"`
	Seen     time.Time `json:"seen"`
	Left     bool      `json:"left"`
	Calls    uint64    `json:"calls"`
	Failed   uint64    `json:"failed"`
}

func services(ctx context.Context, steered *control.Flows) ([]byte, error) {
	suite, err := steered.Suite(ctx)
	if err != nil {
		return nil, err
	}
	document := struct {
		Environment string    `json:"environment"`
		Services    []service `json:"services"`
	}{Environment: suite.Environment}
	for _, s := range suite.Services {
		one := service{Name: s.Name, Contracts: len(s.Contracts), Images: slices.Sorted(maps.Keys(s.Images))}
		for _, r := range s.Replicas {
			one.Replicas = append(one.Replicas, replica{r.Instance, r.Build, r.Image, r.Since, r.Seen, r.Left, r.Calls, r.Failed})
		}
		if one.Rollouts, err = tellAll(s.Rollouts); err != nil {
			return nil, err
		}
		document.Services = append(document.Services, one)
	}
	return json.Marshal(document)
}
