// Package control reads and steers flows through their control streams. It is
// what the triangle command and the operator use: a flow is only ever steered by
// an event on its control stream, under the expected revision.
//
//	flow-<name>          CadenceRequested, WindowRequested, RetryRequested,
//	                     SkipRequested, AuditRequested, ShadowRequested, ShadowEnded
//	                     (who steers)
//	                     MigrationPlanned, MigrationEnded, MigrationSteered,
//	                     MigrationHeld, GateJudged, ParityJudged, ApprovalAwaited,
//	                     ApprovalCounted (the operator)
//	                     EpochClosed, CadenceAdopted, ParkingAnswered, TypesAdopted,
//	                     AuditCompleted, ShadowStarted (the consumer)
//	flow-<name>:<epoch>  WindowOpened, WindowClosed, EventParked
//	shadow-<name>:<id>   MarkerSet (who steers), WindowOpened, ShadowCompared
//	progress-<name>      FlowProgressed, the last few
//	freshness-<name>     FreshnessMeasured, those of the objective's window
//	probes               MarkerSet, the last few (whoever sends a probe)
//	operator             MigrationsWatched, the last few
//	operator-lapses      WatchLapsed
//
// It tells, too, which event types may be written (see Types), and what the
// services are: see Service.
package control

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// State is what a flow's control stream says.
type State struct {
	// Flow is the flow's entry in the catalogue.
	Flow flows.Flow
	// Epoch and Cadence are what the flow runs at, by the consumer's own word, or
	// by the catalogue as long as nobody has asked for anything else.
	Epoch   uint64
	Cadence string
	// RequestedEpoch and Requested are what was asked for last; equal to Epoch
	// and Cadence once the consumer has adopted it.
	RequestedEpoch uint64
	Requested      string
	// Types is which types the consumer carries, since when, and as the how-manieth
	// version; nil when it has not told.
	Types *flowv1.TypesAdopted
	// Progress is the consumer's last word of how far it is; nil when there is
	// none. ToldAt is when it said so, by the store's time.
	Progress *flowv1.FlowProgressed
	ToldAt   time.Time

	// Manager is the plan that the flow is managed by; nil when there is none.
	Manager *flowv1.MigrationPlanned

	revision eventlog.Expected
	parking  parking
	shadows  shadows
}

// Settled tells whether the consumer runs at what was asked for last.
func (s State) Settled() bool { return s.Epoch == s.RequestedEpoch }

// Entry is one control event, as History tells it.
type Entry struct {
	At    time.Time
	Event proto.Message
}

// Errors of this package.
var (
	// ErrDenied says that the event store does not let who asks in.
	ErrDenied = eventlog.ErrDenied
	// ErrUnknownFlow says that the catalogue has no such flow.
	ErrUnknownFlow = errors.New("there is no such flow; triangle flow list shows them all")
	// ErrPaused says that a paused flow has no windows.
	ErrPaused = errors.New("the flow is paused; set a cadence first")
	// ErrEpoch says that somebody else has begun the epoch, or a later one.
	ErrEpoch = errors.New("a flow's epochs only go forward, one by one; look what it runs at now (triangle flow show)")
	// ErrManaged says that a plan sets the cadence of the flow.
	ErrManaged = errors.New("the flow's cadence is managed")
	// ErrRealTime says that a flow in real time needs no window.
	ErrRealTime = errors.New("the flow runs in real time, and waits for no window")
)

// Flows steers the flows of one store.
type Flows struct {
	log    eventlog.Log
	codec  *codec.Codec
	lookup func(name string) (flows.Flow, bool)
}

// Connect opens the store that the connection string names.
func Connect(connection string) (*Flows, error) {
	log, err := esdb.Open(connection)
	if err != nil {
		return nil, err
	}
	return New(log)
}

// New steers the flows of log. Control events hold nothing personal, so no key
// ring is needed.
func New(log eventlog.Log) (*Flows, error) {
	c, err := codec.New(nil)
	if err != nil {
		return nil, err
	}
	return &Flows{log: log, codec: c, lookup: flows.Find}, nil
}

// In returns the same for another catalogue than the one that this program was
// built with, such as the one that the services announce. Closing either closes
// both.
func (f *Flows) In(lookup func(name string) (flows.Flow, bool)) *Flows {
	other := *f
	other.lookup = lookup
	return &other
}

// Close releases the connection.
func (f *Flows) Close() error { return f.log.Close() }

// List returns the state of every flow, in the catalogue's order.
func (f *Flows) List(ctx context.Context) ([]State, error) {
	all := make([]State, 0, len(flows.Catalogue))
	for _, flow := range flows.Catalogue {
		s, err := f.Get(ctx, flow.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Get returns the state of one flow. It fails with ErrUnknownFlow.
func (f *Flows) Get(ctx context.Context, name string) (State, error) {
	flow, err := f.find(name)
	if err != nil {
		return State{}, err
	}
	return f.get(ctx, flow)
}

// find looks a flow up in the catalogue.
func (f *Flows) find(name string) (flows.Flow, error) {
	flow, ok := f.lookup(name)
	if !ok {
		return flow, fmt.Errorf("%q: %w", name, ErrUnknownFlow)
	}
	return flow, nil
}

func (f *Flows) get(ctx context.Context, flow flows.Flow) (State, error) {
	s := State{Flow: flow, Epoch: 1, Cadence: flow.Cadence, RequestedEpoch: 1, Requested: flow.Cadence, revision: eventlog.NoStream, parking: newParking()}
	err := f.read(ctx, flows.ControlStream(flow.Name), eventlog.Forward, 0, 0, func(e codec.Event) {
		s.revision = eventlog.At(e.Revision)
		s.parking.note(e)
		s.shadows.note(e)
		switch m := e.Message.(type) {
		case *flowv1.CadenceRequested:
			if m.GetEpoch() > s.RequestedEpoch { // else it is out of date, and nobody follows it
				s.RequestedEpoch, s.Requested = m.GetEpoch(), m.GetCadence()
			}
		case *flowv1.CadenceAdopted:
			s.Epoch, s.Cadence = m.GetEpoch(), m.GetCadence()
		case *flowv1.TypesAdopted:
			s.Types = m
		case *flowv1.MigrationPlanned:
			s.Manager = m
		case *flowv1.MigrationEnded:
			if s.Manager.GetObjectUid() == m.GetObjectUid() {
				s.Manager = nil
			}
		}
	})
	if err != nil {
		return s, err
	}
	err = f.read(ctx, flows.ProgressStream(flow.Name), eventlog.Backward, math.MaxUint64, 1, func(e codec.Event) {
		s.Progress, _ = e.Message.(*flowv1.FlowProgressed)
		s.ToldAt = e.Created
	})
	return s, err
}

// History returns the control events of a flow, windows included, oldest first.
func (f *Flows) History(ctx context.Context, name string) ([]Entry, error) {
	s, err := f.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []Entry
	add := func(e codec.Event) { all = append(all, Entry{At: e.Created, Event: e.Message}) }
	streams := []string{flows.ControlStream(name)}
	for epoch := uint64(1); epoch <= s.RequestedEpoch; epoch++ {
		streams = append(streams, fmt.Sprintf("%s:%d", flows.ControlStream(name), epoch))
	}
	for _, stream := range streams {
		if err := f.read(ctx, stream, eventlog.Forward, 0, 0, add); err != nil {
			return nil, err
		}
	}
	for _, id := range s.shadows.all {
		err := f.read(ctx, flows.ShadowStream(name, id), eventlog.Forward, 0, 0, func(e codec.Event) {
			if _, ok := e.Message.(*flowv1.ShadowCompared); ok { // its windows are not the flow's
				add(e)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	sortByTime(all)
	return all, nil
}

func (f *Flows) read(ctx context.Context, stream string, direction eventlog.Direction, from uint64, limit int, each func(codec.Event)) error {
	for e, err := range f.log.ReadStream(ctx, stream, direction, from, limit) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		event, err := f.codec.Decode(ctx, e)
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		each(event)
	}
	return nil
}

// RunWindow asks a periodic flow for one window now. It fails with
// ErrUnknownFlow, ErrPaused and ErrRealTime.
func (f *Flows) RunWindow(ctx context.Context, name, by, reason string) (State, error) {
	flow, err := f.find(name)
	if err != nil {
		return State{}, err
	}
	return f.steer(ctx, flow, by, uuid.New(), func(s *State) (proto.Message, error) {
		switch s.Requested {
		case flows.RealTime:
			return nil, fmt.Errorf("%s: %w", name, ErrRealTime)
		case flows.Paused:
			return nil, fmt.Errorf("%s: %w", name, ErrPaused)
		}
		return &flowv1.WindowRequested{Flow: name, By: by, Reason: reason}, nil
	})
}

// steer appends what decide makes of the flow's state, under an id and under the
// revision that the state was read at; when somebody else was faster it reads and decides
// again.
func (f *Flows) steer(ctx context.Context, flow flows.Flow, by string, id uuid.UUID, decide func(*State) (proto.Message, error)) (State, error) {
	for {
		s, err := f.get(ctx, flow)
		if err != nil {
			return s, err
		}
		m, err := decide(&s)
		if err != nil || m == nil {
			return s, err
		}
		appended, err := f.append(ctx, flows.ControlStream(flow.Name), s.revision, told{id: id, message: m, by: by, subject: flow.Name})
		if errors.Is(err, eventlog.ErrWrongRevision) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("steer %s: %w", flow.Name, err)
		}
		s.revision = eventlog.At(appended.Revision)
		return s, nil
	}
}

// WaitSettled waits until the flow's consumer runs at what was asked for last,
// or ctx ends.
func (f *Flows) WaitSettled(ctx context.Context, name string) (State, error) {
	for {
		s, err := f.Get(ctx, name)
		if err != nil || s.Settled() {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("%s has not adopted %s yet: %w", name, s.Requested, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
