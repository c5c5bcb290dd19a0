// Package host puts a service together: configuration, telemetry, key ring,
// event store, database, flows, API. A service says what it is made of, in an
// Application; a main says which service it is:
//
//	func main() {
//		var settings channel.Settings
//		host.Main(config.Channel, &settings, func(ctx context.Context, parts host.Parts) (host.Application, error) {
//			return channel.New(ctx, parts, settings)
//		})
//	}
//
// A service knows the store, its database, the key ring and its own outside
// partners. No other service's address is anywhere in it.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/internal/tracing"
	"github.com/triangle-suite/triangle/services/internal/worker"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Parts are what a service works with.
type Parts struct {
	DB      *projection.DB
	Streams *decider.Streams
	Ring    keyring.Ring
	Logger  *slog.Logger
	// Metrics takes the metrics of what runs beside the API; nil: nobody sees them.
	Metrics prometheus.Registerer
	// Origins tells where the service's calls come from.
	Origins call.Origins
	// Heartbeat is the flows' own; 0: as usual.
	Heartbeat time.Duration

	active *contract.Active
}

// Origins returns the origins of the calls of one service, at the clock now.
func Origins(ring keyring.Ring, service flows.Service, now func() time.Time) call.Origins {
	return func(ctx context.Context, method string, request proto.Message) (decider.Origin, error) {
		return decider.CallOrigin(ring, service, method, serve.IdempotencyKey(ctx), request, now().UTC())
	}
}

// Tracer returns the tracer of a service; nil where traces are not installed.
func Tracer(t *telemetry.Telemetry) *tracing.Tracer {
	provider, installed := t.TracerProvider()
	if !installed {
		return nil
	}
	return tracing.New(provider)
}

// Application is what a service is made of.
type Application struct {
	// Register registers the gRPC API, Gateway its REST face, OpenAPI describes it.
	Register func(grpc.ServiceRegistrar)
	Gateway  func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error
	OpenAPI  []byte
	// Flows takes in the service's flows.
	Flows *flow.Runtime
	// Workers are what runs beside them, such as those that speak to partners: on
	// the replica that takes in the flows, where there are several. Readiness
	// depends on them, too.
	Workers []*worker.Worker
	// Watchers are workers that every replica has.
	Watchers []*worker.Worker
}

// Serving is how the application is served, wherever and with what telemetry.
func (a Application) Serving() serve.Options {
	options := serve.Options{
		Register: a.Register, Gateway: a.Gateway, OpenAPI: a.OpenAPI, Available: a.Flows.Available,
		Checks:  []serve.Check{{Name: "flows", Check: a.Flows.Ready}},
		Workers: []serve.Worker{{Name: "flows", Run: a.Flows.Run}},
	}
	for _, w := range a.Workers {
		options.Checks = append(options.Checks, serve.Check{Name: w.Name, Check: func(ctx context.Context) error {
			if !a.Flows.Owns() {
				return nil // it is another replica's to do
			}
			return w.Ready(ctx)
		}})
		options.Workers = append(options.Workers, serve.Worker{Name: w.Name, Run: func(ctx context.Context) error {
			return a.Flows.WhileOwner(ctx, w.Run)
		}})
	}
	for _, w := range a.Watchers {
		options.Checks = append(options.Checks, serve.Check{Name: w.Name, Check: w.Ready})
		options.Workers = append(options.Workers, serve.Worker{Name: w.Name, Run: w.Run})
	}
	return options
}

// Settings are the service's configuration; it embeds config.Common.
type Settings = config.Settings

// Build makes the service of its parts.
type Build func(context.Context, Parts) (Application, error)

// Main reads the configuration, runs the service until it is told to stop, and
// ends the process as config.Exit does.
func Main(service config.Service, settings Settings, build Build) {
	config.Load(service, settings)
	config.Exit(service, do(context.Background(), service, settings, build))
}

// do does what the process was started for.
func do(ctx context.Context, service config.Service, settings Settings, build Build) error {
	switch config.CommonOf(settings).Command {
	case config.Announce:
		return Announce(ctx, service, settings, build)
	case config.CopyKeys:
		return CopyKeys(ctx, settings, os.Stdout)
	default:
		return Run(ctx, service, settings, build, nil)
	}
}

// Run runs the service until ctx ends or the process is told to stop. bound, if
// given, is told where it serves.
func Run(ctx context.Context, service config.Service, settings Settings, build Build, bound func(serve.Addresses)) (err error) {
	common := config.CommonOf(settings)
	t, err := telemetry.Start(ctx, telemetry.Settings{
		Service: service.Program, Version: config.Version(), Level: common.LogLevel.Slog(),
	})
	if err != nil {
		return fmt.Errorf("set up telemetry: %w", err)
	}
	parts, closeParts, err := open(ctx, service, *common, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeParts()) }()
	parts.Streams.Tracer = Tracer(t)
	app, err := build(ctx, parts)
	if err != nil {
		return fmt.Errorf("put the service together: %w", err)
	}
	options := app.Serving()
	if err := join(&options, service, common.Image, parts, app.Flows.Flows()); err != nil {
		return err
	}
	options.HTTPAddr, options.GRPCAddr, options.Bound = string(common.HTTPAddr), string(common.GRPCAddr), bound
	options.Checks = append([]serve.Check{
		{Name: "store", Check: parts.Streams.Log.Ping},
		{Name: "database", Check: parts.DB.Ping},
	}, options.Checks...)
	options.Telemetry = t
	return serve.Run(ctx, options)
}

// join makes the service a member of those that run on the store: what it reads
// and writes is announced, and nothing that runs beside the API begins before it is
// known to read all that is active.
func join(options *serve.Options, service config.Service, image string, parts Parts, taken []flows.Flow) error {
	announced, err := contract.Of(flows.Service(service.Name), config.Version(), taken...)
	if err != nil {
		return err
	}
	options.Tally = &serve.Tally{}
	member := contract.NewMember(parts.Streams, parts.active, parts.Logger, announced)
	member.Image, member.Calls = image, options.Tally.Read
	for i, w := range options.Workers {
		options.Workers[i].Run = func(ctx context.Context) error {
			if !member.Admitted(ctx) {
				return nil
			}
			return w.Run(ctx)
		}
	}
	options.Checks = append(options.Checks, serve.Check{Name: "contract", Check: member.Ready})
	options.Workers = append(options.Workers, serve.Worker{Name: "contract", Run: member.Run})
	return nil
}

// open opens what the service works with. The store need not be there yet.
func open(ctx context.Context, service config.Service, common config.Common, t *telemetry.Telemetry) (Parts, func() error, error) {
	var closers []func() error
	closeAll := func() (err error) {
		for i := len(closers) - 1; i >= 0; i-- {
			err = errors.Join(err, closers[i]())
		}
		return err
	}
	fail := func(what string, err error) (Parts, func() error, error) {
		return Parts{}, nil, errors.Join(fmt.Errorf("%s: %w", what, err), closeAll())
	}
	ring, err := keyring.Open(ctx, string(common.Keys))
	if err != nil {
		return fail("open the key ring (TRIANGLE_KEYS)", err)
	}
	closers = append(closers, ring.Close)
	c, err := codec.New(ring)
	if err != nil {
		return fail("make the codec", err)
	}
	active := &contract.Active{}
	db, err := projection.Open(ctx, string(common.Database), service.Name)
	if err != nil {
		return fail("open the read models (TRIANGLE_DATABASE)", err)
	}
	closers = append(closers, db.Close)
	log, err := esdb.Open(string(common.EventStore), esdb.WithLogger(t.Logger), esdb.WithMetrics(t.Registry))
	if err != nil {
		return fail("connect the event store (TRIANGLE_EVENTSTORE)", err)
	}
	closers = append(closers, log.Close)
	return Parts{
		DB: db, Streams: &decider.Streams{Log: log, Codec: c.WriteOnceActive(active.Active)}, Ring: ring, Logger: t.Logger, Metrics: t.Registry,
		active:  active,
		Origins: Origins(ring, flows.Service(service.Name), time.Now),
	}, closeAll, nil
}
