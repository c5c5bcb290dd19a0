package channel

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel/internal/capacity"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/channel/internal/eventkind"
	"github.com/triangle-suite/triangle/services/channel/internal/experiment"
	"github.com/triangle-suite/triangle/services/channel/internal/idle"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
	"github.com/triangle-suite/triangle/services/channel/internal/outbound"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/worker"
)

// New makes channel support of its parts.
func New(ctx context.Context, parts host.Parts, settings Settings) (host.Application, error) {
	s, err := newService(ctx, parts, settings)
	if err != nil {
		return host.Application{}, err
	}
	return host.Application{
		Register: func(r grpc.ServiceRegistrar) { channelv1.RegisterChannelServiceServer(r, s.api) },
		Gateway:  channelv1.RegisterChannelServiceHandler,
		OpenAPI:  channelv1.OpenAPI,
		Flows:    s.flows,
		Workers:  s.workers,
		Watchers: s.watchers,
	}, nil
}

// service is what channel support is made of.
type service struct {
	api     *api
	flows   *flow.Runtime
	workers []*worker.Worker
	// watchers run on every replica.
	watchers []*worker.Worker
}

// api is the whole API: each part of it is its capability's own.
type api struct {
	unknownCalls
	*contacts
	*capacities
	*messages
	*experiments
	*eventKinds
}

type (
	contacts    = contact.API
	capacities  = capacity.API
	messages    = outbound.API
	experiments = experiment.API
	eventKinds  = eventkind.API
	// unknownCalls answers what newer callers may ask for. It lies a level deeper
	// than the capabilities, so that their methods come first.
	unknownCalls struct {
		channelv1.UnimplementedChannelServiceServer
	}
)

var _ channelv1.ChannelServiceServer = (*api)(nil)

func newService(ctx context.Context, parts host.Parts, settings Settings) (*service, error) {
	consumers, err := consumers(parts)
	if err != nil {
		return nil, err
	}
	runtime, err := flow.NewRuntime(ctx, flow.Options{DB: parts.DB, Streams: parts.Streams, Logger: parts.Logger, Metrics: parts.Metrics, Heartbeat: parts.Heartbeat}, consumers...)
	if err != nil {
		return nil, err
	}
	board, err := flow.NewBoard("contacts", "contact-events")
	if err != nil {
		return nil, err
	}
	cadence := cadences(runtime, board)
	workers, err := workers(parts, runtime, settings)
	if err != nil {
		return nil, err
	}
	waits, err := nba.NewMetrics(parts.Metrics)
	if err != nil {
		return nil, err
	}
	origins, kinds := call.Asking(parts.Origins), &eventkind.Kinds{Streams: parts.Streams}
	return &service{
		api: &api{
			contacts: &contact.API{
				Streams: parts.Streams, DB: parts.DB, Lists: nba.NewLists(parts.DB, cadence, parts.Streams.Tracer, waits),
				BackOffice: settings.backOffice(), Kinds: kinds,
				Lead:    func(ctx context.Context, id string) (bool, error) { return outbound.HasLead(ctx, parts.DB, id) },
				Origins: origins, Cadence: cadence, Freshness: runtime.Freshness,
			},
			capacities: &capacity.API{Streams: parts.Streams, Origins: origins},
			messages:   &outbound.API{Streams: parts.Streams, DB: parts.DB, Origins: origins},
			experiments: &experiment.API{
				Streams: parts.Streams, DB: parts.DB, Origins: origins, Hash: parts.Ring.Hash, Kinds: kinds,
			},
			eventKinds: &eventkind.API{Streams: parts.Streams, DB: parts.DB, Origins: origins},
		},
		flows:    runtime,
		workers:  workers,
		watchers: []*worker.Worker{cadenceWatcher(parts, board)},
	}, nil
}

// consumers are what the service does with the flows that it takes in.
func consumers(parts host.Parts) ([]flow.Consumer, error) {
	takes := map[string]flow.Consumer{
		customerview.Flow: {
			Schema: customerview.Schema, Project: customerview.Project,
			Reactions: []flow.Reaction{contact.IdentifyVisitor(parts.Streams)},
		},
		nba.Flow:           {Schema: nba.Schema, Project: nba.Project},
		outbound.OrderFlow: {Reactions: []flow.Reaction{outbound.AcceptMessage(parts.Streams)}},
	}
	all := []flow.Consumer{
		{Flow: outbound.OwnFlow, Schema: outbound.Schema, Project: outbound.Project},
		{Flow: contact.OwnFlow, Schema: contact.Schema, Project: contact.Project},
		{Flow: contact.IdleFlow, Schema: contact.IdleSchema, Project: contact.ProjectIdle},
		{Flow: experiment.OwnFlow, Schema: experiment.Schema, Project: experiment.Project},
		erasure.Consumer(flows.Channel),
		{Flow: eventkind.OwnFlow, Schema: eventkind.Schema, Project: eventkind.Project},
	}
	for _, f := range flows.Into(flows.Channel) {
		c, ok := takes[f.Name]
		if !ok {
			return nil, fmt.Errorf("the catalogue sends flow %q to the channel, which does not take it in", f.Name)
		}
		c.Flow = f
		all = append(all, c)
	}
	return all, nil
}

// cadences tells at which cadence a flow runs: one of the service's own from its
// intake, another one from its control stream.
func cadences(runtime *flow.Runtime, board *flow.Board) func(string) string {
	return func(name string) string {
		if intake := runtime.Intake(name); intake != nil {
			return intake.State().Cadence
		}
		return board.Cadence(name)
	}
}

// workers are what runs beside the flows.
func workers(parts host.Parts, runtime *flow.Runtime, settings Settings) ([]*worker.Worker, error) {
	all, err := senders(parts, runtime, settings)
	if err != nil {
		return nil, err
	}
	timeOuts, err := settings.timeOuts()
	if err != nil {
		return nil, err
	}
	callTimeOut, err := settings.callTimeOut()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	settler := &contact.Settler{Streams: parts.Streams, DB: parts.DB, Now: time.Now}
	expirer := func(timeOuts idle.TimeOuts) idle.Expirer {
		return idle.Expirer{DB: parts.DB, TimeOuts: timeOuts, Now: time.Now, Count: func() time.Duration { return time.Since(began) }}
	}
	left, forgotten := contact.Expirer(parts.Streams, expirer(timeOuts)), outbound.CallExpirer(parts.Streams, expirer(callTimeOut))
	eraser := erasure.Eraser{DB: parts.DB, Ring: parts.Ring, Flows: runtime, Contacts: customerview.Contacts}
	return append(
		all,
		eraser.Worker(parts.Logger),
		&worker.Worker{Name: "settler", Logger: parts.Logger, Work: worker.Rounds(parts.DB, settler.Round)},
		&worker.Worker{Name: "contact time-outs", Logger: parts.Logger, Work: worker.Rounds(parts.DB, left.Round)},
		&worker.Worker{Name: "call time-outs", Logger: parts.Logger, Work: worker.Rounds(parts.DB, forgotten.Round)},
	), nil
}

// cadenceWatcher keeps the board up to date. All is well when it has lasted for a
// second.
func cadenceWatcher(parts host.Parts, board *flow.Board) *worker.Worker {
	return &worker.Worker{Name: "cadences", Logger: parts.Logger, Work: func(ctx context.Context, tell worker.Tell) error {
		ended := make(chan error, 1)
		go func() { ended <- board.Run(ctx, parts.Streams) }()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Second):
			tell(nil)
			return <-ended
		}
	}}
}
