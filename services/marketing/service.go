package marketing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/worker"
	"github.com/triangle-suite/triangle/services/marketing/internal/arbitration"
	"github.com/triangle-suite/triangle/services/marketing/internal/campaign"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/profile"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
	"github.com/triangle-suite/triangle/services/marketing/internal/response"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
)

// Settings are the service's configuration: marketing has no partners outside.
type Settings struct {
	config.Common
}

// New makes marketing support of its parts.
func New(ctx context.Context, p host.Parts) (host.Application, error) {
	if err := nba.Sweep(ctx, p.DB); err != nil {
		return host.Application{}, fmt.Errorf("prepare marketing support: %w", err)
	}
	var runtime *flow.Runtime
	// The runtime knows how fresh each flow is, and is made of consumers that
	// need to know it.
	freshness := func(names ...string) []*flowv1.Freshness { return runtime.Freshness(names...) }
	measured, err := nba.NewMetrics(p.Metrics)
	if err != nil {
		return host.Application{}, fmt.Errorf("prepare marketing support: %w", err)
	}
	consumers, err := consumers(p.Streams, freshness, measured)
	if err != nil {
		return host.Application{}, err
	}
	runtime, err = flow.NewRuntime(ctx, flow.Options{DB: p.DB, Streams: p.Streams, Logger: p.Logger, Metrics: p.Metrics, Heartbeat: p.Heartbeat}, append(slices.Clip(consumers), erasure.Consumer(flows.Marketing))...)
	if err != nil {
		return host.Application{}, fmt.Errorf("prepare marketing support: %w", err)
	}
	server := api{
		propositions: &proposition.API{Streams: p.Streams, DB: p.DB, Origins: p.Origins},
		arbitrations: &arbitration.API{Streams: p.Streams, DB: p.DB, Origins: p.Origins},
		campaigns:    &campaign.API{Streams: p.Streams, DB: p.DB, Origins: p.Origins, Freshness: freshness, Now: time.Now},
		leads:        &lead.API{Streams: p.Streams, Origins: p.Origins},
		decisions:    &nba.API{Streams: p.Streams, DB: p.DB, Consumers: consumers},
		segments:     &segment.API{Streams: p.Streams, DB: p.DB, Origins: p.Origins, Freshness: freshness, Now: time.Now},
		profiles:     &profile.API{DB: p.DB, Freshness: freshness, Now: time.Now},
	}
	runner := &campaign.Runner{Streams: p.Streams, DB: p.DB, Now: time.Now}
	eraser := erasure.Eraser{DB: p.DB, Ring: p.Ring, Flows: runtime, Contacts: nba.Contacts}
	return host.Application{
		Register: func(r grpc.ServiceRegistrar) { marketingv1.RegisterMarketingServiceServer(r, server) },
		Gateway:  marketingv1.RegisterMarketingServiceHandler,
		OpenAPI:  marketingv1.OpenAPI,
		Flows:    runtime,
		Workers: []*worker.Worker{
			{Name: "campaign runner", Logger: p.Logger, Work: worker.Rounds(p.DB, runner.Round)},
			eraser.Worker(p.Logger),
		},
	}, nil
}

// The capabilities, under names of their own so that their methods are promoted.
type (
	propositions = proposition.API
	arbitrations = arbitration.API
	campaigns    = campaign.API
	leads        = lead.API
	decisions    = nba.API
	profiles     = profile.API
	segments     = segment.API
)

// unimplemented stands one level deeper than the capabilities, so that each
// method of theirs comes before its own.
type unimplemented struct {
	marketingv1.UnimplementedMarketingServiceServer
}

// api puts the capabilities' handlers together.
type api struct {
	unimplemented
	*propositions
	*arbitrations
	*campaigns
	*leads
	*decisions
	*profiles
	*segments
}

// consumers are what the service does with each flow.
func consumers(streams *decider.Streams, freshness func(...string) []*flowv1.Freshness, measured *nba.Metrics) ([]flow.Consumer, error) {
	all := []flow.Consumer{own()}
	decide := nba.Decisions{Streams: streams, Freshness: freshness, Metrics: measured}
	for _, c := range []struct {
		flow string
		flow.Consumer
	}{
		{nba.Flow, flow.Consumer{
			Schema: nba.Schema, Project: nba.Project,
			Reactions: append(response.Reactions(streams), decide.Reaction()),
		}},
		{facts.Flow, flow.Consumer{Schema: facts.Schema, Project: facts.Project}},
		{complaint.Flow, flow.Consumer{Schema: complaint.Schema, Project: complaint.Project}},
	} {
		f, ok := flows.Find(c.flow)
		if !ok || f.To != flows.Marketing {
			return nil, fmt.Errorf("the catalogue has no flow %s to marketing", c.flow)
		}
		c.Flow = f
		all = append(all, c.Consumer)
	}
	return all, nil
}

// own is the flow of the service's own events, out of which it lists what was
// defined and issued.
func own() flow.Consumer {
	return flow.Consumer{
		Flow: flow.Own(flows.Marketing, slices.Concat(proposition.Types, arbitration.Types, segment.Types, campaign.Types, lead.Types),
			[]string{"campaign_id", "proposition_id", "segment_id", "lead_id"}),
		Schema: projection.Schema{
			Name: "own", Version: 4,
			Tables: slices.Concat(proposition.Tables, arbitration.Tables, segment.Tables, campaign.Tables, lead.Tables),
		},
		Project: func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
			for _, project := range []func(context.Context, *projection.Tx, codec.Event) error{
				proposition.Project, arbitration.Project, segment.Project, campaign.Project, lead.Project,
			} {
				if err := project(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
