package marketing_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/host/hosttest"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/marketing"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// namespace is what the ids of the events derive from that tests append.
var namespace = uuid.MustParse("0d6b1b1c-6f0c-4a5e-9d0e-6a8a7f0f1a55")

// world is a log, on which the test plays channel and sales, and marketing
// support, which can be stopped, crash and start again on its database.
type world struct {
	t       testing.TB
	ring    keyring.Ring
	streams *decider.Streams
	flows   *control.Flows
	dbPath  string
	logger  *slog.Logger
	metrics prometheus.Registerer // nil: nobody sees them

	db    *projection.DB
	app   host.Application
	api   marketingv1.MarketingServiceClient
	rest  string
	crash context.CancelFunc // ends the intake at once, wherever it is
	stop  func()
}

func newWorld(t testing.TB, log eventlog.Log) *world {
	t.Helper()
	w := &world{
		t: t, ring: keyring.Memory(), dbPath: pgtest.Somewhere(t), logger: slog.New(slog.DiscardHandler),
	}
	c, err := codec.New(w.ring)
	if err != nil {
		t.Fatal(err)
	}
	w.streams = &decider.Streams{Log: log, Codec: c}
	if w.flows, err = control.New(log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.end()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// started is a world on a log in memory, with the service running.
func started(t testing.TB, options memory.Options) *world {
	t.Helper()
	w := newWorld(t, memory.New(options))
	w.start()
	w.await("the flows to begin", func() bool { return w.app.Flows.Ready(t.Context()) == nil })
	return w
}

// start starts the service on its database.
func (w *world) start() {
	w.t.Helper()
	db, err := projection.Open(context.Background(), w.dbPath, "marketing")
	if err != nil {
		w.t.Fatal(err)
	}
	app, err := marketing.New(context.Background(), host.Parts{
		DB: db, Streams: w.streams, Ring: w.ring, Logger: w.logger, Metrics: w.metrics,
		Origins: host.Origins(w.ring, flows.Marketing, time.Now),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.db, w.app = db, app
	intake, crash := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- app.Flows.Run(intake) }()
	var workers sync.WaitGroup
	for _, worker := range app.Workers {
		workers.Go(func() {
			if err := app.Flows.WhileOwner(intake, worker.Run); err != nil && !errors.Is(err, context.Canceled) {
				w.t.Errorf("%s ended with %v", worker.Name, err)
			}
		})
	}
	stopServing := w.serve(app)
	w.crash = crash
	w.stop = func() {
		crash()
		stopServing()
		workers.Wait()
		if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("the intake ended with %v", err)
		}
		if err := db.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// serve serves the API, as the host does.
func (w *world) serve(app host.Application) (stop func()) {
	w.t.Helper()
	running := hosttest.Serve(w.t, "marketing", serve.Options{Register: app.Register, Gateway: app.Gateway, OpenAPI: app.OpenAPI})
	w.api, w.rest = marketingv1.NewMarketingServiceClient(running.Conn), running.URL
	return running.Stop
}

// end stops the service, if it runs.
func (w *world) end() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// restart stops the service and starts it again on its database.
func (w *world) restart() {
	w.t.Helper()
	w.end()
	w.start()
}

// keyed is the context of a call with an idempotency key.
func keyed(key string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "idempotency-key", key)
}

// produce appends an event as another service would, and returns its id. The
// same name gives the same id, in whatever world.
func (w *world) produce(stream, name string, m proto.Message) string {
	w.t.Helper()
	id := uuid.NewSHA1(namespace, []byte(name))
	e, err := w.streams.Codec.Encode(context.Background(), m, id, codec.Metadata{
		Source: "/test", Time: time.Now(), CorrelationID: "call of " + name,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.streams.Log.Append(context.Background(), stream, eventlog.Any, e); err != nil {
		w.t.Fatal(err)
	}
	return id.String()
}

// read returns the events of a stream.
func (w *world) read(stream string) []codec.Event {
	w.t.Helper()
	return hosttest.Events(w.t, w.streams, stream)
}

// await polls until holds says true.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%s did not come; flows: %v", what, w.app.Flows.Ready(context.Background()))
		}
	}
}

// answerTo waits for the answer to a cause in a stream, and returns it.
func (w *world) answerTo(stream, cause string) codec.Event {
	w.t.Helper()
	var answer codec.Event
	w.await("an answer to "+cause+" in "+stream, func() bool {
		for _, e := range w.read(stream) {
			if e.Metadata.CausationID == cause {
				answer = e
				return true
			}
		}
		return false
	})
	return answer
}

// decided waits for the decision that answers a cause.
func (w *world) decided(contact, cause string) *marketingv1.NextBestActionsDecided {
	w.t.Helper()
	e := w.answerTo("decisions-"+contact, cause)
	decided, ok := e.Message.(*marketingv1.NextBestActionsDecided)
	if !ok {
		w.t.Fatalf("%s is answered with %s", cause, e.Type)
	}
	return decided
}

// offered lists the ids of a decision's actions.
func offered(d *marketingv1.NextBestActionsDecided) []string {
	var ids []string
	for _, a := range d.GetActions() {
		ids = append(ids, a.GetPropositionId())
	}
	return ids
}

// realTime moves a flow to real time.
func (w *world) realTime(flow string) {
	w.t.Helper()
	w.move(flow, flows.RealTime)
}

// move moves a flow to another cadence, and waits until it runs so.
func (w *world) move(flow, cadence string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := w.flows.Set(ctx, flow, cadence, "test", "to see it"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.flows.WaitSettled(ctx, flow); err != nil {
		w.t.Fatal(err)
	}
}
