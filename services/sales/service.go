package sales

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/worker"
	"github.com/triangle-suite/triangle/services/sales/internal/conversion"
	"github.com/triangle-suite/triangle/services/sales/internal/customer"
	"github.com/triangle-suite/triangle/services/sales/internal/identity"
	"github.com/triangle-suite/triangle/services/sales/internal/lead"
	"github.com/triangle-suite/triangle/services/sales/internal/outbound"
	"github.com/triangle-suite/triangle/services/sales/internal/process"
	"github.com/triangle-suite/triangle/services/sales/internal/registration"
	"github.com/triangle-suite/triangle/services/sales/internal/request"
	"github.com/triangle-suite/triangle/services/sales/internal/totals"
	"github.com/triangle-suite/triangle/services/sales/internal/view"
)

// Settings are the configuration of sales support.
type Settings struct {
	config.Common
	BackOffice config.URL `name:"backoffice" env:"TRIANGLE_BACKOFFICE" placeholder:"URL" help:"The back office that requests are handed to; without one they wait until somebody resolves them."`
}

// New makes sales support of its parts.
func New(ctx context.Context, parts host.Parts, settings *Settings) (host.Application, error) {
	s := &service{
		parts:     parts,
		registrar: customer.NewRegistrar(parts.Streams, identity.NewRegistry(parts.Streams, parts.Ring.Hash)),
		horizon:   &lead.Horizon{},
	}
	consumers, err := s.consumers()
	if err != nil {
		return host.Application{}, err
	}
	s.flows, err = flow.NewRuntime(ctx, flow.Options{DB: parts.DB, Streams: parts.Streams, Logger: parts.Logger, Metrics: parts.Metrics, Heartbeat: parts.Heartbeat}, consumers...)
	if err != nil {
		return host.Application{}, err
	}
	workers, err := s.workers(string(settings.BackOffice))
	if err != nil {
		return host.Application{}, err
	}
	return host.Application{
		Register: s.register,
		Gateway:  salesv1.RegisterSalesServiceHandler,
		OpenAPI:  salesv1.OpenAPI,
		Flows:    s.flows,
		Workers:  workers,
	}, nil
}

type service struct {
	parts     host.Parts
	registrar *customer.Registrar
	horizon   *lead.Horizon
	flows     *flow.Runtime
}

// own is the flow of the service's own events into its tables.
var own = flow.Own(flows.Sales, slices.Concat(customer.Types, request.Types, lead.Types, outbound.Types), []string{"customer_id", "channel"})

func (s *service) consumers() ([]flow.Consumer, error) {
	contacts, err := registration.Consumer(s.parts.Streams, s.registrar)
	if err != nil {
		return nil, err
	}
	requests, err := request.Consumer(s.parts.Streams)
	if err != nil {
		return nil, err
	}
	leads, err := lead.Consumers(s.parts.Streams, s.horizon)
	if err != nil {
		return nil, err
	}
	tables := flow.Consumer{
		Flow:    own,
		Schema:  projection.Schema{Name: "crm", Version: 4, Tables: slices.Concat(customer.Tables, request.Tables, lead.Tables, outbound.Tables, process.Tables)},
		Project: project,
	}
	return append(leads, contacts, requests, tables, view.Consumer(s.parts.Streams), conversion.Consumer(s.parts.Streams), erasure.Consumer(flows.Sales)), nil
}

// project lets each capability keep its own tables.
func project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	for _, capability := range []func(context.Context, *projection.Tx, codec.Event) error{
		customer.Project, request.Project, lead.Project, outbound.Project, process.Project,
	} {
		if err := capability(ctx, tx, event); err != nil {
			return err
		}
	}
	return nil
}

// api puts the capabilities' calls together. What the contract has and no
// capability does is answered as unimplemented: it lies deeper, and so yields.
type api struct {
	*customer.Customers
	*request.Requests
	*lead.Leads
	*outbound.Planning
	*process.Processes
	*totals.Totals
	unimplemented
}

type unimplemented struct {
	salesv1.UnimplementedSalesServiceServer
}

func (s *service) register(registrar grpc.ServiceRegistrar) {
	p := s.parts
	salesv1.RegisterSalesServiceServer(registrar, &api{
		Customers: &customer.Customers{Registrar: s.registrar, Ring: p.Ring, Origins: p.Origins, Freshness: s.flows.Freshness, KnowsLead: s.knowsLead},
		Requests:  &request.Requests{Streams: p.Streams, DB: p.DB, Origins: p.Origins, Freshness: s.flows.Freshness},
		Leads:     &lead.Leads{Streams: p.Streams, DB: p.DB, Freshness: s.flows.Freshness, Now: time.Now},
		Planning:  &outbound.Planning{Streams: p.Streams, Origins: p.Origins},
		Processes: &process.Processes{
			DB: p.DB, Own: own.Name, Freshness: s.flows.Freshness,
			Told: []string{"customer-requests", "outbound-leads", "dispatch-results", "lead-responses"},
		},
		Totals: &totals.Totals{
			DB: p.DB, Log: p.Streams.Log, Types: own.Types, Now: time.Now, Position: s.position,
		},
	})
}

func (s *service) workers(backOffice string) ([]*worker.Worker, error) {
	planner := &lead.Planner{
		Streams: s.parts.Streams, DB: s.parts.DB, Horizon: s.horizon, Settled: s.settled(), Now: time.Now,
	}
	eraser := erasure.Eraser{DB: s.parts.DB, Ring: s.parts.Ring, Flows: s.flows, Contacts: request.Contacts}
	workers := []*worker.Worker{
		{Name: "lead planner", Logger: s.parts.Logger, Work: worker.Rounds(s.parts.DB, planner.Round)},
		eraser.Worker(s.parts.Logger),
	}
	if backOffice == "" {
		return workers, nil // requests wait until somebody resolves them
	}
	driver := &request.Driver{
		Streams: s.parts.Streams, DB: s.parts.DB, BackOffice: backoffice.New(backOffice), Now: time.Now,
	}
	partner, err := driver.Partner().Worker(worker.Parts{
		DB: s.parts.DB, Log: s.parts.Streams.Log, Tracer: s.parts.Streams.Tracer, Metrics: s.parts.Metrics, Now: time.Now, Logger: s.parts.Logger,
	})
	if err != nil {
		return nil, err
	}
	return append(workers, partner), nil
}

// settled tells whether the tables show every lead that has been accepted, and
// whether no window is in the middle of bringing more: a day's leads are planned
// at once, or the first to come would take what the best should have.
func (s *service) settled() func(context.Context) (bool, error) {
	started := false
	return func(ctx context.Context) (bool, error) {
		tables := s.flows.Intake(own.Name).State()
		started = started || tables.Known && tables.Oldest.IsZero()
		if !started || !s.horizon.Reached(tables.Position) {
			return false, nil
		}
		open, err := s.midWindow(ctx)
		return !open, err
	}
}

// midWindow tells whether leads are being taken in. Of a window that the process
// died in, the checkpoint's own row tells it before the gate opens again.
func (s *service) midWindow(ctx context.Context) (bool, error) {
	const outbound = "outbound-leads"
	state := s.flows.Intake(outbound).State()
	if !state.Known || state.Window {
		return true, nil
	}
	if state.Cadence == flows.RealTime {
		return !state.Oldest.IsZero(), nil
	}
	var taken int
	err := s.parts.DB.QueryRow(ctx, `SELECT coalesce(sum(window_taken), 0) FROM flow_checkpoint WHERE flow = ?`, outbound).Scan(&taken)
	if err != nil {
		return false, fmt.Errorf("look whether a window of %s is open: %w", outbound, err)
	}
	return taken > 0, nil
}

func (s *service) knowsLead(ctx context.Context, id string) (bool, error) {
	return lead.Knows(ctx, s.parts.Streams, id)
}

// position is how far the tables have come.
func (s *service) position() eventlog.Position { return s.flows.Intake(own.Name).State().Position }
