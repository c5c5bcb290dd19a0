package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

const (
	// stretchesKept is how many events a freshness stream keeps: the hours of the
	// objective's window, and half as many ends of epochs.
	stretchesKept = 1000
	// keepEvery is how often the stretch that a flow is in is written down. After a
	// crash the time since is measured by what waits then.
	keepEvery = time.Minute
)

// budget is what an intake knows of its flow's objective.
type budget struct {
	cadence   string // that objective is for; looking for it takes a while
	objective flows.Objective
	has       bool
	left      float64
	known     bool
}

// objective returns the flow's objective at a cadence; ok is false when it has
// none.
func (in *Intake) objective(cadence string) (o flows.Objective, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if b := &in.budget; b.cadence != cadence {
		b.cadence, b.has = cadence, false
		if parsed, err := flows.ParseCadence(cadence); err == nil {
			b.objective, b.has = in.consumer.Flow.ObjectiveAt(parsed)
		}
	}
	return in.budget.objective, in.budget.has
}

func (in *Intake) budgetLeft() (left float64, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.budget.left, in.budget.known
}

func (in *Intake) setBudgetLeft(left float64, known bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.budget.left, in.budget.known = left, known
}

// oldestSince returns when the oldest event was written that waits, or that was
// taken in since it was asked last.
func (in *Intake) oldestSince(asOf time.Time) time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	oldest := deadline.Earlier(asOf, in.taken)
	in.taken = time.Time{}
	return oldest
}

// measuring measures how fresh one flow is, for a term.
type measuring struct {
	*Intake
	rt    *Runtime
	lease lease
	now   stretch
	kept  time.Time // when now was read, or written down
	told  []*flowv1.FreshnessMeasured
}

// measure measures how fresh the flows are, for as long as the lease is held.
func (rt *Runtime) measure(ctx context.Context, l lease) error {
	var all []*measuring
	for _, name := range slices.Sorted(maps.Keys(rt.intakes)) {
		if in := rt.intakes[name]; !isOwn(in.consumer.Flow) {
			all = append(all, &measuring{Intake: in, rt: rt, lease: l})
			defer in.setBudgetLeft(0, false)
		}
	}
	tick := time.NewTicker(rt.Heartbeat)
	defer tick.Stop()
	return repeat(ctx, rt.Logger, "freshness waits to be told", func() error {
		var errs []error
		for _, m := range all {
			// Who has lost the flow has nothing to tell any more. The intake finds out, too,
			// and that ends the term.
			if err := m.round(ctx); !errors.Is(err, errFenced) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}, tick.C)
}

// round measures until now, as far as anything is known.
func (m *measuring) round(ctx context.Context) error {
	s, now := m.State(), time.Now().UTC()
	asOf, known := m.rt.asOf(s, now)
	if !known {
		return nil
	}
	if m.kept.IsZero() {
		if err := m.begin(ctx, now); err != nil {
			return err
		}
	}
	if oldest := m.oldestSince(asOf); !m.now.isNone() {
		m.now = m.now.measure(now, oldest)
	}
	if err := m.keep(ctx, s, now); err != nil {
		return err
	}
	left, ok := flows.BudgetLeft(append(slices.Clip(m.told), m.now.message(m.consumer.Flow.Name)), now)
	m.setBudgetLeft(left, ok)
	return nil
}

// begin goes on where whoever took the flow in before has ended.
func (m *measuring) begin(ctx context.Context, now time.Time) (err error) {
	name := m.consumer.Flow.Name
	stream := flows.FreshnessStream(name)
	if err := m.streams.Log.SetMaxCount(ctx, stream, stretchesKept); err != nil {
		return fmt.Errorf("bound %s: %w", stream, err)
	}
	if m.told, err = readFreshness(ctx, m.streams, stream); err != nil {
		return err
	}
	if m.now, err = loadStretch(ctx, m.db, name); err != nil {
		return err
	}
	m.kept = now
	return nil
}

func readFreshness(ctx context.Context, streams *decider.Streams, stream string) (told []*flowv1.FreshnessMeasured, err error) {
	for e, err := range streams.Log.ReadStream(ctx, stream, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		event, err := streams.Codec.Decode(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		if measured, ok := event.Message.(*flowv1.FreshnessMeasured); ok {
			told = append(told, measured)
		}
	}
	return told, nil
}

// keep writes the stretch down, now and then. One that is over is told, in the
// transaction that begins the next.
func (m *measuring) keep(ctx context.Context, s State, now time.Time) error {
	objective, has := m.objective(s.Cadence)
	over := !m.now.isNone() && m.now.isOver(now, s.Epoch, objective)
	next := m.now
	if over {
		next = stretch{}
	}
	if next.isNone() && has {
		next = stretch{epoch: s.Epoch, since: now, until: now, objective: objective}
	}
	if next.since.Equal(m.now.since) && now.Sub(m.kept) < keepEvery {
		return nil
	}
	told, tells := m.now.message(m.consumer.Flow.Name), over && m.now.total > 0
	err := m.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		if err := m.lease.confirm(ctx, tx); err != nil {
			return err
		}
		if tells {
			what := fmt.Sprintf("freshness:%d", m.now.since.UnixNano())
			c := newControl(m.consumer.Flow, flows.FreshnessStream(m.consumer.Flow.Name), what, told, now)
			if err := postOutbox(ctx, tx, c); err != nil {
				return err
			}
		}
		return next.save(ctx, tx, m.consumer.Flow.Name)
	})
	if err != nil {
		return fmt.Errorf("write down how fresh %s is: %w", m.consumer.Flow.Name, err)
	}
	m.now, m.kept = next, now
	if tells {
		m.told = append(m.told, told)
		m.told = m.told[max(0, len(m.told)-stretchesKept):]
		wake(m.posted)
	}
	return nil
}
