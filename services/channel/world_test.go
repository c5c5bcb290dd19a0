package channel

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/host/hosttest"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

func TestMain(m *testing.M) { os.Exit(pgtest.RunOnEach(m)) }

// world is a store and a channel service that can crash. The other services are
// played by appending their events.
type world struct {
	*channelv1.UnimplementedChannelServiceServer
	t          *testing.T
	ring       *keyring.MemoryRing
	log        *memory.Log
	streams    *decider.Streams
	flows      *control.Flows
	dbPath     string
	backOffice string
	// settings are those of the partners that messages are handed to: folders, unless
	// a test has others.
	settings Settings
	metrics  prometheus.Registerer // nil: nobody sees them

	db      *projection.DB
	service *service
	end     context.CancelFunc
	running sync.WaitGroup

	before, after atomic.Pointer[failure]
	ahead         atomic.Int64 // how far the machine's clock is ahead, in nanoseconds
	appended      atomic.Int64 // ordinal of the next id
}

// failure is what an append fails with: before it takes effect, or after.
type failure func(stream string, events []eventlog.NewEvent) error

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, pgtest.Somewhere(t))
}

func newWorldOn(t *testing.T, where string) *world {
	t.Helper()
	w := &world{t: t, dbPath: where, ring: keyring.Memory()}
	w.settings = Settings{MailFrom: "service@example.com", MailFolder: t.TempDir(), PrintFolder: t.TempDir()}
	inject := func(at *atomic.Pointer[failure]) failure {
		return func(stream string, events []eventlog.NewEvent) error {
			if f := at.Load(); f != nil && !strings.HasPrefix(stream, "progress-") {
				return (*f)(stream, events)
			}
			return nil
		}
	}
	w.log = memory.New(memory.Options{Now: w.now, BeforeAppend: inject(&w.before), AfterAppend: inject(&w.after)})
	c, err := codec.New(w.ring)
	if err != nil {
		t.Fatal(err)
	}
	w.streams = &decider.Streams{Log: w.log, Codec: c}
	if w.flows, err = control.New(w.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.stop()
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// inBubble runs a test where time passes only when nothing else can go on.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	inBubbleWith(t, func(*Settings) {}, test)
}

// inBubbleWith is inBubble with other partners.
func inBubbleWith(t *testing.T, change func(*Settings), test func(t *testing.T, w *world)) {
	t.Helper()
	where := pgtest.Somewhere(t) // outside of the bubble: a server goes on when the test has ended
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOn(t, where)
		change(&w.settings)
		w.start()
		synctest.Wait()
		test(t, w)
	})
}

// start starts the service on its database.
func (w *world) start() {
	w.t.Helper()
	var err error
	if w.db, err = projection.Open(w.t.Context(), w.dbPath, "channel", projection.Alone); err != nil {
		w.t.Fatal(err)
	}
	parts := host.Parts{
		DB: w.db, Streams: w.streams, Ring: w.ring, Logger: slog.New(slog.DiscardHandler), Metrics: w.metrics,
		Origins: func(ctx context.Context, method string, request proto.Message) (decider.Origin, error) {
			key, _ := ctx.Value(keyOf{}).(string)
			return decider.CallOrigin(w.ring, flows.Channel, method, key, request, w.now())
		},
	}
	settings := w.settings
	settings.BackOffice, settings.Deadline = config.URL(w.backOffice), time.Minute
	if w.service, err = newService(w.t.Context(), parts, settings); err != nil {
		w.t.Fatal(err)
	}
	w.service.flows.Heartbeat, w.service.flows.Lease = time.Minute, 24*time.Hour // in many stories hours pass
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	w.run(ctx, "flows", w.service.flows.Run)
	for _, worker := range slices.Concat(w.service.workers, w.service.watchers) {
		w.run(ctx, worker.Name, worker.Run)
	}
}

func (w *world) run(ctx context.Context, name string, run func(context.Context) error) {
	w.running.Go(func() {
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("%s ended with %v", name, err)
		}
	})
}

// stop ends the service; whatever it was about to do is not done.
func (w *world) stop() {
	if w.end == nil {
		return
	}
	w.end()
	w.running.Wait()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
	w.end = nil
}

// now is the time by the machine's clock.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

type keyOf struct{}

// withKey is the context of a call with an idempotency key.
func (w *world) withKey(key string) context.Context {
	return context.WithValue(w.t.Context(), keyOf{}, key)
}

func (w *world) api() channelv1.ChannelServiceServer { return w.service.api }

// ready waits until every flow that the service takes in has begun.
func (w *world) ready() {
	w.t.Helper()
	w.await("the flows to begin", func() bool {
		for _, f := range flows.Into(flows.Channel) {
			if !w.service.flows.Intake(f.Name).State().Known {
				return false
			}
		}
		return true
	})
}

// await waits for a condition, outside of a bubble.
func (w *world) await(what string, ready func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	ok, err := w.db.Await(ctx, func(context.Context, projection.Querier) (bool, error) { return ready(), nil })
	if !ok || err != nil {
		w.t.Fatalf("waited in vain for %s (%v)", what, err)
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// set has a flow of the service's own run at another cadence.
func (w *world) set(flow, cadence string) {
	w.t.Helper()
	if _, err := w.flows.Set(w.t.Context(), flow, cadence, "test", "for the test"); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// adopted plays another service whose flow goes on at another cadence.
func (w *world) adopted(flow, cadence string) {
	w.t.Helper()
	w.play(flows.ControlStream(flow), "", &flowv1.CadenceAdopted{Flow: flow, Epoch: 2, Cadence: cadence})
	synctest.Wait()
}

// play appends what another service says. It is a part of what came of the call
// with the correlation id.
func (w *world) play(stream, correlation string, messages ...proto.Message) (last eventlog.Position) {
	w.t.Helper()
	return w.say(stream, codec.Metadata{CorrelationID: correlation}, messages...)
}

// answer appends what another service answers to an event.
func (w *world) answer(stream string, cause eventlog.Position, message proto.Message) {
	w.t.Helper()
	w.say(stream, codec.Metadata{CausePosition: cause}, message)
}

func (w *world) say(stream string, md codec.Metadata, messages ...proto.Message) (last eventlog.Position) {
	w.t.Helper()
	md.Source, md.Time = "/triangle/others", time.Now()
	var events []eventlog.NewEvent
	for _, m := range messages {
		id := uuid.NewSHA1(uuid.Nil, []byte{byte(w.appended.Add(1) >> 8), byte(w.appended.Load())})
		e, err := w.streams.Codec.Encode(context.Background(), m, id, md)
		if err != nil {
			w.t.Error(err)
			return last
		}
		events = append(events, e)
	}
	appended, err := w.log.Append(context.Background(), stream, eventlog.Any, events...)
	if err != nil {
		w.t.Error(err)
	}
	return appended.Position
}

// hear has what the service appends heard by others, who play their parts.
func (w *world) hear(others func(e codec.Event)) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	sub, err := w.log.SubscribeAll(ctx, eventlog.AllOptions{Filter: eventlog.Filter{TypePrefixes: []string{"channel."}}})
	if err != nil {
		w.t.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for m := range sub.Messages() {
			if m.Kind != eventlog.KindEvent {
				continue
			}
			e, err := w.streams.Codec.Decode(context.Background(), m.Event)
			if err != nil {
				w.t.Errorf("hear: %v", err)
				return
			}
			others(e)
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		sub.Close()
		<-heard
	})
}

// events returns what stands in a stream.
func (w *world) events(stream string) []codec.Event {
	w.t.Helper()
	return hosttest.Events(w.t, w.streams, stream)
}

// types returns the types of what stands in a stream, without the service.
func (w *world) types(stream string) []string {
	w.t.Helper()
	types := []string{}
	for _, e := range w.events(stream) {
		_, name, _ := strings.Cut(e.Type, ".")
		types = append(types, name)
	}
	return types
}

// size is how many events of the channel there are.
func (w *world) size() int {
	w.t.Helper()
	n := 0
	for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Forward, nil, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if len(e.Type) > 8 && e.Type[:8] == "channel." {
			n++
		}
	}
	return n
}
