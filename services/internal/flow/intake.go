package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// The control events that every intake reads, whatever its flow.
const (
	cadenceRequested = "flow.CadenceRequested"
	windowRequested  = "flow.WindowRequested"
	windowOpened     = "flow.WindowOpened"
	markerSet        = "flow.MarkerSet"
)

// Intake takes in one flow.
type Intake struct {
	consumer Consumer
	streams  *decider.Streams
	db       *projection.DB
	logger   *slog.Logger
	types    map[string]bool
	filter   eventlog.Filter
	token    string // names this process in the checkpoint
	parkMax  uint64
	posted   chan<- struct{} // tells that the outbox may hold something

	// cp and suspect belong to the goroutine of Run.
	cp      checkpoint
	suspect suspect

	mu    sync.Mutex
	state State // what others may know
}

// State is what an intake tells of itself.
type State struct {
	Epoch    uint64
	Cadence  string
	Position eventlog.Position
	Taken    uint64 // events taken in in this epoch
	Parked   uint64
	Lag      uint64 // events known to wait
	// Oldest is the store's time of the oldest event that is known to wait; the
	// zero time when there is none.
	Oldest time.Time
	// Known is false until the intake has looked whether anything waits; AsOf, the
	// time of the last event that was taken in, is all that is known before.
	Known bool
	AsOf  time.Time
	// Err is why the intake does not go on, or nil.
	Err error
}

func newIntake(rt *Runtime, c Consumer) *Intake {
	in := &Intake{
		consumer: c, streams: rt.Streams, db: rt.DB, token: rt.token, parkMax: rt.parkMax, posted: rt.posted,
		logger: rt.Logger.With("flow", c.Flow.Name),
		types:  map[string]bool{},
		filter: eventlog.Filter{TypePrefixes: []string{cadenceRequested, windowRequested, windowOpened, markerSet}},
	}
	for _, t := range c.Flow.Types {
		in.types[t] = true
	}
	in.filter.TypePrefixes = append(in.filter.TypePrefixes, c.Flow.Types...)
	return in
}

// State returns what the intake tells of itself now.
func (in *Intake) State() State {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state
}

func (in *Intake) publish(change func(*State)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	change(&in.state)
}

// run takes the flow in until ctx ends. Whatever stops it is tried again, with
// back-off, and shown in State: only what parks an event, or another owner, ends
// trying.
func (in *Intake) run(ctx context.Context) error {
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
	for {
		cadence, err := flows.ParseCadence(in.cp.cadence)
		if err != nil {
			return fmt.Errorf("read the cadence in the checkpoint: %w", err)
		}
		do, at := decideGate(cadence, in.cp.lastDue, time.Now())
		switch do {
		case openForGood:
			err = in.open(ctx, uuid.Nil)
		case openToMarker:
			var marker uuid.UUID
			if marker, err = in.setWindowMarker(ctx, at); err == nil {
				err = in.open(ctx, marker)
			}
		case stayClosed:
			var marker uuid.UUID
			if marker, err = in.rest(ctx, at); err == nil && marker != uuid.Nil {
				err = in.open(ctx, marker)
			}
		}
		if err != nil {
			return err
		}
	}
}

// takeOver makes this process the flow's owner, and checks that the store is of
// the database's environment, and the one that the checkpoint was made on.
func (in *Intake) takeOver(ctx context.Context) error {
	err := in.db.Update(ctx, func(tx *projection.Tx) error {
		cp, found, err := loadCheckpoint(ctx, tx, in.consumer.Flow.Name)
		if err != nil {
			return err
		}
		if !found {
			cp.epoch, cp.cadence, cp.owner = 1, in.consumer.Flow.Cadence, in.token
			cp.lastDue = time.Now().UTC()
			in.cp = cp
			return insertCheckpoint(ctx, tx, cp)
		}
		was := cp
		cp.owner = in.token
		in.cp = cp
		return swapCheckpoint(ctx, tx, was, cp)
	})
	if err != nil {
		return err
	}
	in.publishCheckpoint()
	if err := in.verifyEnvironment(ctx); err != nil {
		return err
	}
	return in.verifyStore(ctx)
}

// ErrForeignStore says that a checkpoint was made on another store, or on a
// later state of this one.
var ErrForeignStore = errors.New("the event store is not the one that the read models were made from: it has been restored, or belongs to another environment; connect the right store, or start on a new database")

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
		s.Taken, s.Parked, s.AsOf = in.cp.taken, in.cp.parked, in.cp.asOf
	})
}

// isOwnMarker tells whether an event is a marker of this flow.
func (in *Intake) isOwnMarker(e eventlog.Event) bool {
	control := flows.ControlStream(in.consumer.Flow.Name)
	switch e.Type {
	case cadenceRequested, windowRequested:
		return e.Stream == control
	case windowOpened:
		return strings.HasPrefix(e.Stream, control+":")
	default:
		return false
	}
}

// rest keeps the gate closed until at, or until somebody asks for a window or
// another cadence, and meanwhile counts what waits. It returns the marker to
// open up to, if there is one.
func (in *Intake) rest(ctx context.Context, at time.Time) (uuid.UUID, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := in.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: in.cp.position, Filter: in.filter})
	if err != nil {
		return uuid.Nil, fmt.Errorf("follow the log behind the closed gate: %w", err)
	}
	defer sub.Close()
	in.publish(func(s *State) { s.Lag, s.Oldest, s.Err = 0, time.Time{}, nil })
	var due <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return uuid.Nil, ctx.Err()
		case <-due:
			return uuid.Nil, nil
		case m, ok := <-sub.Messages():
			if !ok {
				return uuid.Nil, fmt.Errorf("follow the log behind the closed gate: %w", sub.Err())
			}
			if m.Kind == eventlog.KindEvent && in.opensGate(m.Event) {
				return m.Event.ID, nil
			}
			in.meter(m)
		}
	}
}

// opensGate tells whether an event asks a closed gate to open up to it. A paused
// flow has no windows.
func (in *Intake) opensGate(e eventlog.Event) bool {
	if !in.isOwnMarker(e) {
		return false
	}
	return e.Type == cadenceRequested || e.Type == windowRequested && in.cp.cadence != flows.Paused
}

// meter counts an event that waits behind the closed gate.
func (in *Intake) meter(m eventlog.Message) {
	in.publish(func(s *State) {
		switch {
		case m.Kind == eventlog.KindCaughtUp:
			s.Known = true
		case m.Kind == eventlog.KindEvent && in.types[m.Event.Type]:
			s.Known = true
			if s.Lag++; s.Lag == 1 {
				s.Oldest = m.Event.Created
			}
		}
	})
}

// batchSize bounds a transaction. A reaction that reads the flow's tables appends
// within it, so that such batches are kept short: the database has one writer.
func (in *Intake) batchSize() int {
	switch {
	case in.suspect.id != uuid.Nil:
		return 1
	case len(in.consumer.Reactions) > 0 && in.consumer.Project != nil:
		return 50
	default:
		return 1000
	}
}

// open takes events in until it has taken in the marker target, or one that ends
// the epoch. With uuid.Nil it goes on until the latter.
func (in *Intake) open(ctx context.Context, target uuid.UUID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := in.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: in.cp.position, Filter: in.filter})
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	defer sub.Close()
	epoch, live := in.cp.epoch, false
	for {
		batch, caughtUp, err := in.nextBatch(ctx, sub)
		if err != nil {
			return err
		}
		live = live || caughtUp
		if len(batch) > 0 {
			in.publish(func(s *State) { s.Known, s.Oldest, s.Lag = true, batch[0].Created, uint64(len(batch)) })
			if err := in.takeIn(ctx, batch); err != nil {
				return err
			}
		}
		if idle := live && len(sub.Messages()) == 0; idle {
			in.publish(func(s *State) { s.Known, s.Oldest, s.Lag, s.Err = true, time.Time{}, 0, nil })
		}
		reached := target != uuid.Nil && len(batch) > 0 && batch[len(batch)-1].ID == target
		if reached || in.cp.epoch != epoch {
			return nil
		}
	}
}

// nextBatch waits for a message, and returns with it what else is there. A batch
// ends at a marker of the flow, as what comes after it may be none of this
// epoch's business.
func (in *Intake) nextBatch(ctx context.Context, sub eventlog.Subscription) (batch []eventlog.Event, caughtUp bool, err error) {
	for size := in.batchSize(); len(batch) < size; {
		var m eventlog.Message
		var ok bool
		select {
		case m, ok = <-sub.Messages():
		default:
			if len(batch) > 0 || caughtUp {
				return batch, caughtUp, nil
			}
			select {
			case <-ctx.Done():
				return nil, false, ctx.Err()
			case m, ok = <-sub.Messages():
			}
		}
		if !ok {
			return nil, false, fmt.Errorf("follow the log: %w", sub.Err())
		}
		switch m.Kind {
		case eventlog.KindCaughtUp:
			caughtUp = true
		case eventlog.KindEvent:
			batch = append(batch, m.Event)
			if in.isOwnMarker(m.Event) {
				return batch, caughtUp, nil
			}
		}
	}
	return batch, caughtUp, nil
}

// takeIn takes a batch in, in one transaction: rows, parked events, closed
// windows and the checkpoint. Reactions append within it, or ahead of it; when
// the transaction fails after that, their answers are found when the causes come
// again.
func (in *Intake) takeIn(ctx context.Context, batch []eventlog.Event) error {
	answered, err := in.answerAhead(ctx, batch)
	if err != nil {
		if cause, ok := errors.AsType[*causeError](err); ok {
			in.suspect.blame(cause.id, err)
		}
		return err
	}
	was, is := in.cp, in.cp
	var culprit eventlog.Event
	var posted bool
	err = in.db.Update(ctx, func(tx *projection.Tx) error {
		t := &taking{Intake: in, tx: tx, cp: was, answered: answered}
		for _, e := range batch {
			culprit = e
			if err := t.take(ctx, e); err != nil {
				return fmt.Errorf("take in %s %s: %w", e.Type, e.ID, err)
			}
		}
		if in.isRealTime(t.cp) {
			if err := t.answerLate(ctx); err != nil {
				return err
			}
		}
		is, posted = t.cp, t.posted
		return swapCheckpoint(ctx, tx, was, is)
	})
	if err != nil {
		in.suspect.blame(culprit.ID, err)
		return err
	}
	in.suspect.clear(batch)
	in.cp = is
	in.publishCheckpoint()
	if posted {
		select {
		case in.posted <- struct{}{}:
		default: // it is told already
		}
	}
	return nil
}

func (in *Intake) isRealTime(cp checkpoint) bool { return cp.cadence == flows.RealTime }

// suspect is the event at which taking in failed last. It is tried again alone;
// when it fails again, by its own fault, it is condemned to be parked.
type suspect struct {
	id     uuid.UUID
	faults int
	reason error
}

const faultsToPark = 2

func (s *suspect) blame(id uuid.UUID, err error) {
	if s.id != id {
		*s = suspect{id: id}
	}
	if isOwnFault(err) {
		s.faults++
		s.reason = err
	}
}

func (s *suspect) condemned(id uuid.UUID) bool { return s.id == id && s.faults >= faultsToPark }

func (s *suspect) clear(batch []eventlog.Event) {
	if slices.ContainsFunc(batch, func(e eventlog.Event) bool { return e.ID == s.id }) {
		*s = suspect{}
	}
}

// keyOf returns the flow's key of an event: the first of the flow's key fields
// that has a value. An event without one is ordered by its stream.
func keyOf(f flows.Flow, e codec.Event) string {
	if key, ok := flows.KeyOf(f, e.Message); ok {
		return key
	}
	return e.Stream
}
