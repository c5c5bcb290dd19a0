package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// The control events that every intake reads, whatever its flow.
const (
	cadenceRequested = "flow.CadenceRequested"
	windowRequested  = "flow.WindowRequested"
	windowOpened     = "flow.WindowOpened"
	markerSet        = "flow.MarkerSet"
	retryRequested   = "flow.RetryRequested"
	skipRequested    = "flow.SkipRequested"
	typeActivated    = "flow.TypeActivated"
)

// markers are the types of all of them.
var markers = []string{cadenceRequested, windowRequested, windowOpened, markerSet, retryRequested, skipRequested, typeActivated}

// What intakes look up in the control stream: not being markers, they open nothing.
const (
	typesAdopted    = "flow.TypesAdopted"
	parkingAnswered = "flow.ParkingAnswered"
)

// Intake takes in one flow.
type Intake struct {
	consumer   Consumer
	streams    *decider.Streams
	db         *projection.DB
	logger     *slog.Logger
	types      map[string]bool // that this build takes in
	filter     eventlog.Filter
	parkMax    uint64
	posted     chan<- struct{} // tells that the outbox may hold something
	traces     *postedTraces   // of what it holds
	epochEnded chan<- struct{}
	measured   *measured

	closing sync.WaitGroup // what closes epochs beside the intake

	// dry tells that this is the intake of a flow's shadow: it tells nobody
	// anything, and what asks for another cadence or a window is none of its
	// business. parity is there while the flow has a shadow, and is changed in a
	// transaction that fences the checkpoint; retain keeps the tables as they are at
	// a marker of comparison.
	dry        bool
	parity     atomic.Pointer[parity]
	retain     func(context.Context) (kept bool, err error)
	missed     atomic.Pointer[string] // the last marker at which it did not
	handed     handed
	shadowNews chan struct{}

	// cp, window, ended, recent, history, suspect, lease and opened belong to the goroutine that runs the
	// intake, or that stands by.
	cp      checkpoint
	window  *tracing.Batch // nil: the gate is not open up to a marker, or nobody traces
	ended   endedEpoch     // the last one
	recent  recentChains
	history typesHistory
	suspect suspect
	lease   lease     // its token names this process in the checkpoint
	opened  time.Time // when the gate opened up to a marker that is not taken in yet

	mu      sync.Mutex
	state   State // what others may know; of what waits, waiting tells
	waiting backlog
	taken   time.Time // when the oldest event was written that was taken in since the flow was measured
	budget  budget
}

// State is what an intake tells of itself.
type State struct {
	Epoch    uint64
	Cadence  string
	Position eventlog.Position
	Taken    uint64 // events taken in in this epoch
	Parked   uint64
	Steered  uint64 // how far requests about parked events have been followed
	// Lag is how many events wait, and Oldest the store's time of the oldest of them;
	// the zero time when there is none. Both are the meter's, whatever the gate
	// does. Of very many they err, by little, on the side of too much.
	Lag    uint64
	Oldest time.Time
	// Window tells that a window, or the rest of an epoch, is being taken in: the
	// gate is open up to a marker.
	Window bool
	// Known is false until the checkpoint and the log have been looked at; AsOf, the
	// time of the last event that was taken in, is all that is known before.
	Known bool
	AsOf  time.Time
	// Err is why the intake does not go on, or nil.
	Err error
}

func newIntake(rt *Runtime, c Consumer) *Intake {
	in := &Intake{
		consumer: seeing(rt.Streams, c), streams: rt.Streams, db: rt.DB, parkMax: rt.parkMax, posted: rt.posted, traces: &rt.traces, epochEnded: rt.epochEnded,
		logger: rt.Logger.With("flow", c.Flow.Name),
		types:  map[string]bool{},
		filter: filterOf(c.Flow), shadowNews: make(chan struct{}, 1),

		measured: rt.measures.of(c.Flow.Name),
	}
	in.retain = in.handOver
	for _, t := range c.Flow.Types {
		in.types[t] = true
	}
	return in
}

// filterOf lets a flow's events through, and every event that may be a marker.
func filterOf(f flows.Flow) eventlog.Filter {
	return eventlog.Filter{TypePrefixes: slices.Concat(markers, f.Types)}
}

// State returns what the intake tells of itself now.
func (in *Intake) State() State {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.state
	s.Lag, s.Oldest, s.Known = in.waiting.events, in.waiting.oldest(), in.waiting.known && s.Epoch > 0
	return s
}

func (in *Intake) publish(change func(*State)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	change(&in.state)
}

// run takes the flow in, under a lease, until ctx ends. Whatever stops it is tried again, with
// back-off, and shown in State: only what parks an event, or another owner, ends
// trying.
func (in *Intake) run(ctx context.Context, l lease) error {
	in.lease, in.suspect, in.opened = l, suspect{}, time.Time{}
	in.publish(func(*State) { in.taken = time.Time{} })
	defer in.closing.Wait()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 2*time.Second
	for {
		before := in.cp.position
		err := in.follow(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because it was told to
		}
		if errors.Is(err, errFenced) {
			return fmt.Errorf("take in %s: %w", in.consumer.Flow.Name, err)
		}
		in.report(err)
		if in.cp.position != before {
			wait.Reset()
		}
		if !sleep(ctx, wait.NextBackOff()) {
			return nil
		}
	}
}

// report shows an error in State and logs it once, however often it comes back.
func (in *Intake) report(err error) {
	if last := in.State().Err; last == nil || last.Error() != err.Error() {
		in.logger.Warn("the flow waits to go on", "reason", err.Error())
	}
	in.publish(func(s *State) { s.Err = err })
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// follow opens and closes the gate until something goes wrong.
func (in *Intake) follow(ctx context.Context) error {
	if err := in.takeOver(ctx); err != nil {
		return err
	}
	if err := in.retainAgain(ctx); err != nil {
		return err
	}
	for {
		if err := in.closeEpochs(ctx); err != nil {
			return err
		}
		// A flow that has parked too much gets no further: what mends it comes first.
		if err := in.followRequests(ctx); err != nil {
			return err
		}
		cadence, err := flows.ParseCadence(in.cp.cadence)
		if err != nil {
			return fmt.Errorf("read the cadence in the checkpoint: %w", err)
		}
		do, at := decideGate(cadence, in.cp.lastDue, time.Now())
		switch do {
		case openForGood:
			err = in.open(ctx, uuid.Nil)
		case openToMarker:
			in.beginWindow(ctx)
			var marker uuid.UUID
			if marker, err = in.setWindowMarker(in.window.In(ctx), at); err == nil {
				err = in.open(ctx, marker)
			}
		case stayClosed:
			var marker uuid.UUID
			if marker, err = in.rest(ctx, at); err == nil && marker != uuid.Nil {
				in.beginWindow(ctx)
				err = in.open(ctx, marker)
			}
		}
		in.endWindow(err)
		if err != nil {
			return err
		}
	}
}

// takeOver makes this process the flow's owner, and checks that the store is of
// the database's environment, and the one that the checkpoint was made on, and that
// this build takes in what has been written. Only then the flow carries its types,
// and others are told of it: until then it has not begun.
func (in *Intake) takeOver(ctx context.Context) error {
	in.recent.forget()
	err := in.db.Update(ctx, func(tx *projection.Tx) error {
		if err := errors.Join(in.lease.confirm(ctx, tx), in.confirmTables(ctx, tx)); err != nil {
			return err
		}
		cp, found, err := loadCheckpoint(ctx, tx, in.consumer.Flow.Name)
		if err != nil {
			return err
		}
		if !found {
			cp.epoch, cp.cadence, cp.owner = 1, in.consumer.Flow.Cadence, in.lease.token
			cp.lastDue, cp.asOf = time.Now().UTC(), time.Unix(0, 0).UTC()
			in.cp = cp
			return insertCheckpoint(ctx, tx, cp)
		}
		was := cp
		cp.owner = in.lease.token
		in.cp = cp
		if err := swapCheckpoint(ctx, tx, was, cp); err != nil {
			return err
		}
		return in.resumeParity(ctx, tx)
	})
	if err != nil {
		return err
	}
	if err := in.verifyEnvironment(ctx); err != nil {
		return err
	}
	if err := in.verifyStore(ctx); err != nil {
		return err
	}
	if err := in.verifyActive(ctx); err != nil {
		return err
	}
	return in.adoptTypes(ctx)
}

// ErrForeignStore says that a checkpoint was made on another store, or on a
// later state of this one.
var ErrForeignStore error = fault.Precondition("the event store is not the one that the read models were made from: it has been restored, or belongs to another environment; connect the right store, or start on a new database")

func (in *Intake) verifyStore(ctx context.Context) error {
	if in.cp.eventID == "" {
		return nil
	}
	for e, err := range in.streams.Log.ReadAll(ctx, eventlog.Forward, &in.cp.position, 1) {
		if err != nil {
			return fmt.Errorf("look up the last event of the checkpoint: %w", err)
		}
		if e.ID.String() == in.cp.eventID && e.Position == in.cp.position {
			return nil
		}
	}
	return fmt.Errorf("event %s is not at %s: %w", in.cp.eventID, in.cp.position, ErrForeignStore)
}

func (in *Intake) publishCheckpoint() {
	in.publish(func(s *State) {
		s.Epoch, s.Cadence, s.Position = in.cp.epoch, in.cp.cadence, in.cp.position
		s.Taken, s.Parked, s.Steered, s.AsOf = in.cp.taken, in.cp.parked, in.cp.steered, in.cp.asOf
		in.waiting.drop(in.cp.position)
	})
}

// takeIn takes a batch in, in one transaction: rows, parked events, closed
// windows and the checkpoint. Reactions append within it, or ahead of it; when
// the transaction fails after that, their answers are found when the causes come
// again.
func (in *Intake) takeIn(ctx context.Context, batch []*incoming) error {
	began := time.Now()
	d := in.beginDelivery(ctx, batch)
	err := in.deliver(ctx, batch, d)
	d.end(err)
	in.measured.processed(time.Since(began), err)
	return err
}

func (in *Intake) deliver(ctx context.Context, batch []*incoming, d *delivery) error {
	answered, err := in.answerAhead(ctx, batch)
	if err != nil {
		if cause, ok := errors.AsType[*causeError](err); ok {
			in.suspect.blame(cause.id, err)
		}
		return err
	}
	culprit := batch[0].Event.ID
	d.transacting()
	err = in.transact(ctx, answered, func(t *taking) error {
		if err := t.chains.load(ctx, t.tx, in.keysOf(batch)...); err != nil {
			return err
		}
		for _, i := range batch {
			culprit = i.Event.ID
			if err := t.take(ctx, i); err != nil {
				return fmt.Errorf("take in %s %s: %w", i.Event.Type, i.Event.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		in.suspect.blame(culprit, err)
		return err
	}
	in.suspect.clear(batch)
	in.noteDelivery(batch)
	return nil
}

// transact moves the checkpoint and what do changes, together or not at all.
func (in *Intake) transact(ctx context.Context, answered map[uuid.UUID]bool, do func(*taking) error) error {
	was, is := in.cp, in.cp
	var left chains
	var posted bool
	var spans []tracing.Span
	var closed *uint64
	err := in.db.Update(ctx, func(tx *projection.Tx) error {
		if err := fence(ctx, tx, was); err != nil {
			return err
		}
		t := &taking{Intake: in, tx: tx, cp: was, chains: newChains(was.flow, was.epoch, &in.recent), answered: answered, noting: in.parity.Load() != nil}
		err := do(t)
		if spans = t.spans; err != nil {
			return err
		}
		if in.isRealTime(t.cp) {
			if err := t.answerLate(ctx); err != nil {
				return err
			}
		}
		if err := t.chains.write(ctx, tx); err != nil {
			return err
		}
		is, left, posted, closed = t.cp, t.chains, t.posted, t.closed
		return swapCheckpoint(ctx, tx, was, is)
	})
	endAll(spans, err)
	if err != nil {
		return err
	}
	in.cp = is
	in.recent.keep(left)
	in.publishCheckpoint()
	if posted {
		wake(in.posted)
	}
	if closed != nil {
		in.noteWindow(*closed)
	}
	if is.epoch != was.epoch {
		wake(in.epochEnded)
		in.measured.cutOver()
		in.opened = time.Time{}
	}
	return nil
}

// wake wakes who waits on a channel that has room for one.
func wake(who chan<- struct{}) {
	select {
	case who <- struct{}{}:
	default: // it is told already
	}
}

func (in *Intake) isRealTime(cp checkpoint) bool { return cp.cadence == flows.RealTime }

// keyOf returns the flow's key of an event, as tables hold it: the first of the
// flow's key fields that has a value. An event without one is ordered by its
// stream.
func keyOf(f flows.Flow, e codec.Event) string {
	key, ok := flows.KeyOf(f, e.Message)
	if !ok {
		key = e.Stream
	}
	return projection.Storable(key)
}
