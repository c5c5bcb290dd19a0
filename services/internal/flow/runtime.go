package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// defaultParkMax is how many events a flow may park before it stops.
const defaultParkMax = 100

// Options are what a Runtime needs.
type Options struct {
	DB      *projection.DB
	Streams *decider.Streams
	Logger  *slog.Logger
	// Metrics takes the metrics of the flows; nil: nobody sees them.
	Metrics prometheus.Registerer
	// ParkMax is how many events a flow may park before it stops; 0 means 100.
	ParkMax uint64
	// Heartbeat is how often the store is asked whether it is there, and how often
	// at most progress is told; 0 means a second.
	Heartbeat time.Duration
	// Lease is how long this replica may be silent before another one takes over,
	// where several share the database; 0 means five seconds.
	Lease time.Duration
}

// Runtime runs the intakes of one service, and what goes with them: the outbox of
// control events, progress, and the knowledge of how fresh each flow is.
type Runtime struct {
	Options
	intakes    map[string]*Intake
	terms      terms
	versions   versions
	measures   measures
	parkMax    uint64
	posted     chan struct{} // wakes deliver
	epochEnded chan struct{} // wakes purge
	traces     postedTraces  // of what waits to be delivered
	lastSeen   atomic.Int64  // when the store answered last, Unix nanoseconds
}

// NewRuntime creates the tables of the consumers, and returns a Runtime that
// takes them in once it runs. Tables of another version are rebuilt then.
func NewRuntime(ctx context.Context, o Options, consumers ...Consumer) (*Runtime, error) {
	rt := &Runtime{Options: o, intakes: map[string]*Intake{}, measures: newMeasures(), parkMax: o.ParkMax, posted: make(chan struct{}, 1), epochEnded: make(chan struct{}, 1)}
	rt.terms.changed = make(chan struct{})
	if rt.parkMax == 0 {
		rt.parkMax = defaultParkMax
	}
	if rt.Heartbeat == 0 {
		rt.Heartbeat = time.Second
	}
	if rt.Lease == 0 {
		rt.Lease = defaultLease
	}
	for _, c := range consumers {
		if err := c.check(); err != nil {
			return nil, err
		}
		rt.intakes[c.Flow.Name] = newIntake(rt, c)
	}
	if err := rt.createTables(ctx); err != nil {
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	return rt, rt.register()
}

// Run takes in every flow until ctx ends, and knows what waits for each. Of several replicas that share a
// database one does so, and the others follow how far it comes and replace it
// when it is gone. It returns an error only when another process has taken over
// a database that is not shared.
func (rt *Runtime) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return rt.takeTurns(ctx) })
	group.Go(func() error { return rt.watchStore(ctx) })
	group.Go(func() error { return rt.watchTables(job.Named(ctx, "tables")) })
	group.Go(func() error { return rt.meter(job.Named(ctx, "meter")) })
	return group.Wait()
}

// Consumers returns what the service does with the flows that it takes in, in the
// order of their names.
func (rt *Runtime) Consumers() []Consumer {
	all := make([]Consumer, 0, len(rt.intakes))
	for _, name := range slices.Sorted(maps.Keys(rt.intakes)) {
		all = append(all, rt.intakes[name].consumer)
	}
	return all
}

// Intake returns the intake of a flow; nil when the service does not take it in.
func (rt *Runtime) Intake(flow string) *Intake { return rt.intakes[flow] }

// Flows returns the flows that the service takes in, its own among them.
func (rt *Runtime) Flows() (all []flows.Flow) {
	for _, in := range rt.intakes {
		all = append(all, in.consumer.Flow)
	}
	return all
}

// watchStore notes when the store answered last. Data can't be known to be
// fresher than that.
func (rt *Runtime) watchStore(ctx context.Context) error {
	for {
		ask, cancel := context.WithTimeout(ctx, rt.Heartbeat)
		asked := time.Now()
		if err := rt.Streams.Log.Ping(ask); err == nil {
			rt.lastSeen.Store(asked.UnixNano())
		}
		cancel()
		if !sleep(ctx, rt.Heartbeat) {
			return nil
		}
	}
}

// deliver appends what the outbox holds, when something has been posted.
func (rt *Runtime) deliver(ctx context.Context) error {
	return repeat(ctx, rt.Logger, "control events wait to be told", func() error {
		return emptyOutbox(ctx, rt.DB, rt.Streams, &rt.traces)
	}, rt.posted)
}

// purge deletes the chains of epochs that have been, when one more has ended.
func (rt *Runtime) purge(ctx context.Context) error {
	return repeat(ctx, rt.Logger, "old chains wait to be deleted", func() error {
		return rt.purgeChains(ctx)
	}, rt.epochEnded)
}

// tell tells progress, at most once a heartbeat.
func (rt *Runtime) tell(ctx context.Context) error {
	told := map[string]toldState{}
	tick := time.NewTicker(rt.Heartbeat)
	defer tick.Stop()
	return repeat(ctx, rt.Logger, "progress waits to be told", func() error {
		return rt.tellProgress(ctx, told)
	}, tick.C)
}

// repeat does work at each wake, and again after a pause when it failed. An error
// is logged once, however often it comes back.
func repeat[T any](ctx context.Context, logger *slog.Logger, trouble string, work func() error, wake <-chan T) error {
	var last string
	for {
		err := work()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because it was told to
		}
		if err == nil {
			last = ""
			select {
			case <-ctx.Done():
				return nil
			case <-wake:
			}
			continue
		}
		if err.Error() != last {
			last = err.Error()
			logger.Warn(trouble, "reason", last)
		}
		if !sleep(ctx, retryPause) {
			return nil
		}
	}
}

// retryPause is how long work that failed waits before it is tried again.
const retryPause = time.Second

const (
	// progressKept is how many events a progress stream keeps.
	progressKept = 10
	// lagToldEvery is how often at most progress is told when only what waits has
	// changed.
	lagToldEvery = 10 * time.Second
)

// toldState is what was told last of a flow, and when.
type toldState struct {
	State
	at time.Time
}

// hasNews tells whether there is something to tell at now.
func (t toldState) hasNews(s State, now time.Time) bool {
	moved := t.Position != s.Position || t.Epoch != s.Epoch || t.Parked != s.Parked || t.Steered != s.Steered
	waits := t.Known != s.Known || t.Lag != s.Lag || !t.Oldest.Equal(s.Oldest)
	return moved || waits && now.Sub(t.at) >= lagToldEvery
}

func (rt *Runtime) tellProgress(ctx context.Context, told map[string]toldState) error {
	for _, name := range slices.Sorted(maps.Keys(rt.intakes)) {
		in := rt.intakes[name]
		now, at := in.State(), time.Now()
		before, again := told[name]
		if isOwn(in.consumer.Flow) && before.Parked == 0 && now.Parked == 0 {
			continue // nobody else is concerned, short of an operator who has to help
		}
		if !before.hasNews(now, at) {
			continue
		}
		stream := flows.ProgressStream(name)
		if !again {
			if err := rt.Streams.Log.SetMaxCount(ctx, stream, progressKept); err != nil {
				return fmt.Errorf("bound %s: %w", stream, err)
			}
		}
		parked, err := rt.tellParked(ctx, name, now)
		if err != nil {
			return err
		}
		progressed := &flowv1.FlowProgressed{
			Flow: name, Epoch: now.Epoch, Position: wire(now.Position), Taken: now.Taken, Parked: now.Parked,
			AsOf: rt.Freshness(name)[0].GetAsOf(), ParkedEvents: parked, Steered: now.Steered,
		}
		if now.Known {
			progressed.Lag = &now.Lag
		}
		if now.Known && now.Lag > 0 {
			progressed.OldestWaiting = timestamppb.New(now.Oldest)
		}
		e, err := rt.Streams.Codec.Encode(ctx, progressed, uuid.New(), codec.Metadata{Source: codec.Source(in.consumer.Flow.To), Subject: name, Time: time.Now().UTC()})
		if err != nil {
			return fmt.Errorf("encode the progress of %s: %w", name, err)
		}
		if _, err := rt.Streams.Log.Append(ctx, stream, eventlog.Any, e); err != nil {
			return fmt.Errorf("tell the progress of %s: %w", name, err)
		}
		told[name] = toldState{now, at}
	}
	return nil
}

// Freshness tells how old the data of each named flow is.
func (rt *Runtime) Freshness(names ...string) []*flowv1.Freshness {
	now := time.Now().UTC()
	all := make([]*flowv1.Freshness, 0, len(names))
	for _, name := range names {
		in := rt.intakes[name]
		if in == nil {
			continue
		}
		s := in.State()
		asOf := freshAsOf(s, rt.storeSeen(now), now)
		all = append(all, &flowv1.Freshness{
			Flow: name, Cadence: s.Cadence, AsOf: timestamppb.New(asOf), Staleness: durationpb.New(max(0, now.Sub(asOf))),
			Position: wire(s.Position),
		})
	}
	return all
}

// asOf returns up to when everything that was sent is taken in, as far as that is
// known.
func (rt *Runtime) asOf(s State, now time.Time) (asOf time.Time, known bool) {
	if !s.Known || rt.lastSeen.Load() == 0 {
		return time.Time{}, false
	}
	return freshAsOf(s, rt.storeSeen(now), now), true
}

// storeSeen returns when the store was last known to answer: now, when it did so
// at the last heartbeat or the one before.
func (rt *Runtime) storeSeen(now time.Time) time.Time {
	seen := time.Unix(0, rt.lastSeen.Load()).UTC()
	if now.Sub(seen) <= 2*rt.Heartbeat {
		return now
	}
	return seen
}

// freshAsOf returns up to when everything that was sent is taken in: now when
// nothing waits, the time of the oldest event that does, and no later than the
// store was last known to answer. It is never in the future.
func freshAsOf(s State, storeSeen, now time.Time) time.Time {
	asOf := now
	if storeSeen.Before(asOf) {
		asOf = storeSeen
	}
	if !s.Known && s.AsOf.Before(asOf) {
		asOf = s.AsOf
	}
	if !s.Oldest.IsZero() && s.Oldest.Before(asOf) {
		asOf = s.Oldest
	}
	return asOf
}

// errNotBegun is why a service is not ready at first.
var errNotBegun = errors.New("has not begun")

// Ready returns nil when every flow is being taken in.
func (rt *Runtime) Ready(context.Context) error {
	if err := rt.tablesReady(); err != nil {
		return err
	}
	for name, in := range rt.intakes {
		s := in.State()
		if s.Err == nil && s.Cadence == "" {
			s.Err = errNotBegun
		}
		if s.Err != nil {
			return fmt.Errorf("flow %s: %w", name, s.Err)
		}
	}
	return nil
}
