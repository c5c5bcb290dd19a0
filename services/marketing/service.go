package marketing

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"google.golang.org/grpc"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/call"
	"github.com/triangle-suite/triangle/services/marketing/internal/campaign"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/profile"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
	"github.com/triangle-suite/triangle/services/marketing/internal/response"
)

// Parts are what a Service is made of.
type Parts struct {
	DB      *projection.DB
	Streams *decider.Streams
	Logger  *slog.Logger
	// Origins returns the origin of a call that changes something.
	Origins call.Origins
}

// Service is marketing support. It takes flows in once it runs, and answers calls
// once it is registered.
type Service struct {
	runtime *flow.Runtime
	api     api
}

// New makes the service, and the tables that it lacks.
func New(ctx context.Context, p Parts) (*Service, error) {
	s := &Service{}
	// The runtime knows how fresh each flow is, and is made of consumers that
	// need to know it.
	freshness := func(names ...string) []*flowv1.Freshness { return s.runtime.Freshness(names...) }
	consumers, err := consumers(p.Streams, freshness)
	if err != nil {
		return nil, err
	}
	s.runtime, err = flow.NewRuntime(ctx, flow.Options{DB: p.DB, Streams: p.Streams, Logger: p.Logger}, consumers...)
	if err != nil {
		return nil, fmt.Errorf("prepare marketing support: %w", err)
	}
	s.api = api{
		propositions: &proposition.API{Streams: p.Streams, DB: p.DB, Origins: p.Origins},
		campaigns:    &campaign.API{Streams: p.Streams, DB: p.DB, Origins: p.Origins, Freshness: freshness},
		decisions:    &nba.API{Streams: p.Streams},
		profiles:     &profile.API{DB: p.DB, Freshness: freshness},
	}
	return s, nil
}

// Run takes in every flow until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.runtime.Run(ctx) }

// Ready returns nil when every flow is being taken in.
func (s *Service) Ready(ctx context.Context) error { return s.runtime.Ready(ctx) }

// Runtime tells how each flow is doing.
func (s *Service) Runtime() *flow.Runtime { return s.runtime }

// Register registers the API.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	marketingv1.RegisterMarketingServiceServer(r, s.api)
}

// The capabilities, under names of their own so that their methods are promoted.
type (
	propositions = proposition.API
	campaigns    = campaign.API
	decisions    = nba.API
	profiles     = profile.API
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
	*campaigns
	*decisions
	*profiles
}

// consumers are what the service does with each flow.
func consumers(streams *decider.Streams, freshness func(...string) []*flowv1.Freshness) ([]flow.Consumer, error) {
	all := []flow.Consumer{own()}
	decide := nba.Decisions{Streams: streams, Freshness: freshness}
	for _, c := range []struct {
		flow string
		flow.Consumer
	}{
		{nba.Flow, flow.Consumer{
			Schema: nba.Schema, Project: nba.Project,
			Reactions: []flow.Reaction{response.Reaction(streams), decide.Reaction()},
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
		Flow: flow.Own(flows.Marketing, slices.Concat(proposition.Types, campaign.Types), []string{"campaign_id", "proposition_id"}),
		Schema: projection.Schema{
			Name: "own", Version: 1,
			Tables: slices.Concat(proposition.Tables, campaign.Tables),
		},
		Project: func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
			if err := proposition.Project(ctx, tx, e); err != nil {
				return err
			}
			return campaign.Project(ctx, tx, e)
		},
	}
}
