package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// A shadow shows what another cadence would come to, before a flow goes on at it.
// It is a second Intake of the same consumer, in a database beside the service's,
// that begins with a copy of the flow's tables, checkpoint, chains, parked and
// late events, and whose reactions are dry:
//
//	                  ┌─▶ intake ─▶ tables, answers ───┐ snapshot at the marker
//	log ── a marker ──┤                                ├─▶ compare ─▶ ShadowCompared
//	                  └─▶ shadow's intake ─▶ copy ─────┘ frozen at the marker
//
// Both note, in the transaction that takes a cause in, which reaction took it and
// the id that derives from the two, as those of the answers do. A dry reaction
// does not decide: it might rest on what other flows have brought, or on answers
// that the flow itself has not given yet, and it must touch nothing.
//
// At a marker both keep what they hold: the flow by a snapshot, which is copied
// while it goes on, the shadow by copying before it goes on. So the two may pass
// the marker days apart, and it costs two further copies on the disk, written once
// and read once for each comparison. Equal must be: the rows of the tables without
// what is personal, the chains of all keys, what is parked, and the causes with
// the ids that derive from them. Whether a cause came late differs between
// cadences, as the owner declared, and is only counted.

// shadowWish is what a flow's control stream says of its shadow.
type shadowWish struct {
	id        string // empty: there shall be none
	cadence   string
	at        time.Time
	overtaken bool // the flow has been asked for another cadence since
}

// follow adds what one more control event says.
func (w *shadowWish) follow(e codec.Event) {
	switch m := e.Message.(type) {
	case *flowv1.ShadowRequested:
		*w = shadowWish{id: e.ID.String(), cadence: m.GetCadence(), at: e.Created}
	case *flowv1.ShadowEnded:
		if m.GetShadowId() == w.id {
			*w = shadowWish{}
		}
	case *flowv1.CadenceRequested:
		w.overtaken = w.id != ""
	}
}

// keeper keeps the shadow of a flow, while this replica owns it.
type keeper struct {
	*Intake // the flow's own

	lease lease
	run   *shadowRun // nil: none runs
}

// shadowRun is a shadow that runs in this process.
type shadowRun struct {
	*parity

	db     *projection.DB // the shadow's
	intake *Intake
	// frozen and frozenFlow hold the shadow and the flow as they were at a marker; a
	// checkpoint is in there when they do.
	frozen, frozenFlow *projection.DB

	end   context.CancelFunc // nil until the intake runs
	ended chan struct{}      // closed when it has ended
	err   error              // why it has
}

// keepShadow starts, compares and drops the flow's shadow, as its control stream
// says, until ctx ends.
func (rt *Runtime) keepShadow(ctx context.Context, in *Intake, l lease) (err error) {
	if isOwn(in.consumer.Flow) {
		return nil
	}
	k := &keeper{Intake: in, lease: l}
	in.handed.open()
	defer func() { err = errors.Join(err, in.handed.close(), k.rest()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return k.listen(ctx) })
	group.Go(func() error {
		return repeat(ctx, in.logger, "the flow's shadow waits to go on", func() error { return k.keep(ctx) }, in.shadowNews)
	})
	return group.Wait()
}

// listen wakes the keeper when something is said on the control stream.
func (k *keeper) listen(ctx context.Context) error {
	return repeat(ctx, k.logger, "the flow's control stream can't be followed", func() error {
		sub, err := k.streams.Log.SubscribeStream(ctx, flows.ControlStream(k.consumer.Flow.Name), eventlog.StreamOptions{})
		if err != nil {
			return err
		}
		defer sub.Close()
		for m := range sub.Messages() {
			if m.Kind == eventlog.KindEvent {
				wake(k.shadowNews)
			}
		}
		return sub.Err()
	}, make(chan struct{}))
}

// wished reads what the control stream says.
func (k *keeper) wished(ctx context.Context) (w shadowWish, err error) {
	for e, err := range k.streams.Log.ReadStream(ctx, flows.ControlStream(k.consumer.Flow.Name), eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			break
		}
		if err != nil {
			return w, fmt.Errorf("look whether a shadow is asked for: %w", err)
		}
		switch e.Type {
		case shadowRequested, shadowEnded, cadenceRequested:
		default:
			continue
		}
		event, err := k.streams.Codec.Decode(ctx, e)
		if err != nil {
			return w, fmt.Errorf("look whether a shadow is asked for: %w", err)
		}
		w.follow(event)
	}
	return w, nil
}

const (
	shadowRequested = "flow.ShadowRequested"
	shadowEnded     = "flow.ShadowEnded"
)

// keep does what is to be done now.
func (k *keeper) keep(ctx context.Context) error {
	wish, err := k.wished(ctx)
	if err != nil {
		return err
	}
	if wish.overtaken {
		if err := k.tellEnded(ctx, wish, "the flow goes on at another cadence"); err != nil {
			return err
		}
		wish = shadowWish{}
	}
	if err := k.dropOther(ctx, wish.id); err != nil || wish.id == "" {
		return err
	}
	if err := k.start(ctx, wish); err != nil {
		return err
	}
	if k.run == nil {
		return nil
	}
	return k.settle(ctx)
}

func (k *keeper) tellEnded(ctx context.Context, wish shadowWish, reason string) error {
	flow := k.consumer.Flow
	ended := &flowv1.ShadowEnded{Flow: flow.Name, ShadowId: wish.id, By: codec.Source(flow.To), Reason: reason}
	_, err := newControl(flow, flows.ControlStream(flow.Name), "shadow-ended:"+wish.id, ended, time.Now().UTC()).ensure(ctx, k.streams)
	return err
}

// rest stops the shadow's intake in this process. The shadow itself stays, and is
// gone on with by the next owner.
func (k *keeper) rest() error {
	run := k.run
	if run == nil {
		return nil
	}
	k.run = nil
	if run.end != nil {
		run.end()
		<-run.ended
	}
	return errors.Join(run.db.Close(), run.frozen.Close(), run.frozenFlow.Close())
}

// dropOther drops what there is of a shadow, short of the one of the given id.
func (k *keeper) dropOther(ctx context.Context, id string) error {
	p, err := loadParity(ctx, k.db, k.consumer.Flow.Name)
	if err != nil || p == nil || p.shadow == id {
		return err
	}
	// Who stood still since it read what is wished for must not take away what the next
	// owner has begun.
	if err := k.confirm(ctx); err != nil {
		return fmt.Errorf("drop a shadow: %w", err)
	}
	if err := k.rest(); err != nil {
		return err
	}
	run, err := k.openBeside(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(run.db.Drop(ctx), run.frozen.Drop(ctx), run.frozenFlow.Drop(ctx)); err != nil {
		return err
	}
	// The row goes last: what was dropped by half is dropped again.
	err = k.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		if err := fence(ctx, tx, checkpoint{flow: p.flow, owner: k.lease.token}); err != nil {
			return err
		}
		k.parity.Store(nil)
		_, err := tx.Exec(ctx, `DELETE FROM flow_shadow WHERE flow = ?`, p.flow)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop a shadow: %w", err)
	}
	return k.forgetAllCauses(ctx)
}

// confirm fails with errFenced when another process has taken the flow over.
func (k *keeper) confirm(ctx context.Context) error {
	return k.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		return fence(ctx, tx, checkpoint{flow: k.consumer.Flow.Name, owner: k.lease.token})
	})
}

// forgetAllCauses deletes what has been noted for a shadow that is no more.
func (k *keeper) forgetAllCauses(ctx context.Context) error {
	const end = 1<<63 - 1
	return forgetCauses(ctx, k.db, k.consumer.Flow.Name, eventlog.Position{Commit: end, Prepare: end}, end)
}

// openBeside opens the databases of a shadow.
func (k *keeper) openBeside(ctx context.Context) (run *shadowRun, err error) {
	run = &shadowRun{}
	var opened []*projection.DB
	for _, one := range []struct {
		db     **projection.DB
		suffix string
	}{{&run.db, ""}, {&run.frozen, "-frozen"}, {&run.frozenFlow, "-flow"}} {
		if *one.db, err = k.db.Beside(ctx, nameShadow(k.consumer.Flow.Name)+one.suffix); err == nil {
			opened = append(opened, *one.db)
			err = (*one.db).Create(ctx, tables, ownerTable, shadowTables)
		}
		if err != nil {
			for _, db := range opened {
				err = errors.Join(err, db.Close())
			}
			return nil, err
		}
	}
	return run, nil
}

// start has the shadow run: it copies the flow's tables, unless it has done so
// before, and takes the flow in at the shadow's cadence.
func (k *keeper) start(ctx context.Context, wish shadowWish) error {
	if k.run != nil {
		select {
		case <-k.run.ended:
			ended := k.run.err // before it rests, and has no run
			return errors.Join(ended, k.rest())
		default:
			return nil
		}
	}
	if why := k.refuse(ctx, wish); why != nil {
		return k.tellEnded(ctx, wish, why.Error())
	}
	if err := k.register(ctx, wish); err != nil {
		return err
	}
	run, err := k.openBeside(ctx)
	if err != nil {
		return err
	}
	k.run = run
	if err := k.begin(ctx, wish, run); err != nil {
		return errors.Join(err, k.rest())
	}
	return nil
}

// refuse tells why there can't be such a shadow. Who asks has checked the same,
// by what the control stream said.
func (k *keeper) refuse(ctx context.Context, wish shadowWish) error {
	cadence, err := flows.ParseCadence(wish.cadence)
	if err != nil {
		return err
	}
	cp, found, err := loadCheckpoint(ctx, k.db, k.consumer.Flow.Name)
	switch {
	case err != nil || !found:
		return nil //nolint:nilerr // it is met again, where it is no reason to give up
	case cadence.IsPaused() || cp.cadence == flows.Paused:
		return errors.New("what is paused takes nothing in that could be compared")
	case cp.cadence == cadence.String():
		return errors.New("the flow runs at this cadence itself")
	}
	return nil
}

// register has the flow's intake note causes and hand over snapshots from its next
// transaction on.
func (k *keeper) register(ctx context.Context, wish shadowWish) error {
	name := k.consumer.Flow.Name
	known, err := loadParity(ctx, k.db, name)
	if err != nil || known != nil {
		return err
	}
	if err := k.forgetAllCauses(ctx); err != nil {
		return err
	}
	return k.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		if err := fence(ctx, tx, checkpoint{flow: name, owner: k.lease.token}); err != nil {
			return err
		}
		cp, _, err := loadCheckpoint(ctx, tx, name)
		if err != nil {
			return err
		}
		p := &parity{
			flow: name, shadow: wish.id, stream: flows.ShadowStream(name, wish.id), control: flows.ControlStream(name),
			windowsOf: slowerOf(cp.cadence, wish.cadence, wish.at),
		}
		k.parity.Store(p)
		return p.store(ctx, tx)
	})
}

// slowerOf tells which of the two has its windows further apart.
func slowerOf(flow, shadow string, at time.Time) windowsOf {
	gap := func(text string) time.Duration {
		cadence, err := flows.ParseCadence(text)
		if err != nil {
			return 0
		}
		gap, _ := cadence.LongestGap(at)
		return gap
	}
	if gap(shadow) > gap(flow) {
		return windowsOfShadow
	}
	return windowsOfFlow
}

func (k *keeper) begin(ctx context.Context, wish shadowWish, run *shadowRun) error {
	name := k.consumer.Flow.Name
	p, err := loadParity(ctx, run.db, name)
	if err != nil {
		return err
	}
	if p == nil || p.shadow != wish.id {
		if err := k.copyFlow(ctx, wish, run); err != nil {
			return fmt.Errorf("copy the flow for its shadow: %w", err)
		}
		if p, err = loadParity(ctx, run.db, name); err != nil {
			return err
		}
	}
	run.parity = p
	started := &flowv1.ShadowStarted{Flow: name, ShadowId: wish.id, Cadence: wish.cadence, Position: wire(p.after)}
	c := newControl(k.consumer.Flow, flows.ControlStream(name), "shadow-started:"+wish.id, started, time.Now().UTC())
	if _, err := c.ensure(ctx, k.streams); err != nil {
		return err
	}
	l := k.lease // with its token
	l.db = run.db
	if err := l.seize(ctx); err != nil {
		return err
	}
	run.intake = k.twin(run)
	run.ended = make(chan struct{})
	ctx, run.end = context.WithCancel(ctx)
	go func() {
		run.err = run.intake.run(ctx, l)
		close(run.ended)
		wake(k.shadowNews)
	}()
	return nil
}

// seize takes the lease, whoever has it: a shadow belongs to whoever owns the flow.
func (l lease) seize(ctx context.Context) error {
	return l.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO flow_owner (role, token, until) VALUES (?,?,0) ON CONFLICT (role) DO UPDATE SET token = excluded.token`,
			l.role, l.token)
		return err
	})
}

// copyFlow fills the shadow's database with what the flow holds now.
func (k *keeper) copyFlow(ctx context.Context, wish shadowWish, run *shadowRun) (err error) {
	for _, db := range []*projection.DB{run.frozen, run.frozenFlow} {
		if err := thaw(ctx, db); err != nil {
			return err
		}
	}
	snapshot, err := k.db.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	name := k.consumer.Flow.Name
	return run.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		if err := copyTables(ctx, k.consumer, snapshot, tx, tables, shadowTables); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE flow_checkpoint SET cadence = ?, last_due = ? WHERE flow = ?`, wish.cadence, wish.at.UnixNano(), name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM flow_closing WHERE flow = ?`, name); err != nil { // they are the flow's to tell
			return err
		}
		cp, _, err := loadCheckpoint(ctx, tx, name)
		if err != nil {
			return err
		}
		p, err := loadParity(ctx, tx, name)
		if err != nil || p == nil {
			return errors.Join(errFenced, err)
		}
		p.after, p.steered = cp.position, cp.steered
		return p.store(ctx, tx)
	})
}

// copyTables copies the tables of a consumer, and its rows in those of the
// runtime.
func copyTables(ctx context.Context, c Consumer, from projection.Querier, to *projection.Tx, runtime ...projection.Schema) error {
	if c.Schema.Name != "" {
		if err := c.Schema.CopyTo(ctx, from, to); err != nil {
			return err
		}
	}
	for _, s := range runtime {
		if err := s.CopyRows(ctx, from, to, "flow", c.Flow.Name); err != nil {
			return err
		}
	}
	return nil
}

// twin is the shadow's intake: the flow's, on the copy and dry.
func (k *keeper) twin(run *shadowRun) *Intake {
	twin := &Intake{
		consumer: dried(k.consumer), streams: k.streams, db: run.db, logger: k.logger.With("shadow", run.shadow),
		types: k.types, filter: k.filter, parkMax: k.parkMax, dry: true, shadowNews: k.shadowNews,
	}
	twin.parity.Store(run.parity)
	twin.retain = func(ctx context.Context) (bool, error) {
		kept, err := freezeInto(ctx, k.consumer, run.db, run.frozen)
		wake(k.shadowNews)
		return kept, err
	}
	return twin
}

// dried is a consumer whose reactions take causes, and do nothing.
func dried(c Consumer) Consumer {
	wet := c.Reactions
	c.Reactions = make([]Reaction, len(wet))
	for i, r := range wet {
		r.Answer = func(context.Context, projection.Querier, Cause) error { return nil }
		r.Decline = func(context.Context, projection.Querier, Cause, string) error { return nil }
		c.Reactions[i] = r
	}
	return c
}
