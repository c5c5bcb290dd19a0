package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// frozenTables are what is kept of the runtime's tables at a marker. They are
// looked up by name.
var frozenTables = projection.Schema{Tables: []string{`CREATE TABLE flow_checkpoint`, `CREATE TABLE flow_parked`, `CREATE TABLE flow_shadow_cause`}}

// What is compared of parked events and of causes, and what is not: when, how
// often and why depends on the cadence.
var (
	parkedCompared = projection.Schema{
		Tables:   []string{`CREATE TABLE flow_parked`},
		Personal: []string{"flow_parked.parked_at", "flow_parked.attempts", "flow_parked.reason"},
	}
	fatesCompared = projection.Schema{
		Tables:   []string{`CREATE TABLE flow_shadow_cause`},
		Personal: []string{"flow_shadow_cause.commit_position", "flow_shadow_cause.prepare_position", "flow_shadow_cause.steered"},
	}
	causesCompared = projection.Schema{
		Tables:   fatesCompared.Tables,
		Personal: append([]string{"flow_shadow_cause.fate"}, fatesCompared.Personal...),
	}
)

// freezeInto keeps a flow, or a shadow, as it is read from a database, unless an
// earlier one waits to be compared.
func freezeInto(ctx context.Context, c Consumer, from projection.Querier, into *projection.DB) (kept bool, err error) {
	before, waits, err := loadCheckpoint(ctx, into, c.Flow.Name)
	if err != nil {
		return false, err
	}
	if waits {
		now, _, err := loadCheckpoint(ctx, from, c.Flow.Name)
		return now.eventID == before.eventID, err // it has been kept before, if it is the same
	}
	err = into.UpdateQuietly(ctx, func(tx *projection.Tx) error { return copyTables(ctx, c, from, tx, frozenTables) })
	if err != nil {
		return false, fmt.Errorf("keep the tables of %s as they are at a marker: %w", c.Flow.Name, err)
	}
	return true, nil
}

// thaw forgets what was kept. The rows are replaced by the next ones.
func thaw(ctx context.Context, frozen *projection.DB) error {
	return frozen.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM flow_checkpoint`)
		return err
	})
}

// frozenAt is where the flow and its shadow have been frozen, and how far both
// have come.
type frozenAt struct {
	flow, shadow     *checkpoint // frozen; nil when it is not
	flowAt, shadowAt checkpoint
}

// settle compares what has been frozen, until nothing is left to do.
func (k *keeper) settle(ctx context.Context) error {
	for {
		at, err := k.look(ctx)
		if err != nil {
			return err
		}
		settled, err := k.settleOne(ctx, at)
		if err != nil {
			return err
		}
		if !settled {
			return k.answerMissed(ctx, at)
		}
	}
}

// look looks how far both have come before it looks what has been frozen: what is
// not there then, of a marker that has been passed, never comes.
func (k *keeper) look(ctx context.Context) (at frozenAt, err error) {
	name := k.consumer.Flow.Name
	if at.flowAt, _, err = loadCheckpoint(ctx, k.db, name); err != nil {
		return at, err
	}
	if at.shadowAt, _, err = loadCheckpoint(ctx, k.run.db, name); err != nil {
		return at, err
	}
	if at.shadow, err = k.run.frozenIn(ctx, k.run.frozen); err != nil {
		return at, err
	}
	if err := k.receive(ctx, at); err != nil {
		return at, err
	}
	at.flow, err = k.run.frozenIn(ctx, k.run.frozenFlow)
	return at, err
}

// frozenIn tells where a side has been frozen. What is from before the shadow
// began, or has been compared, is let go of.
func (run *shadowRun) frozenIn(ctx context.Context, db *projection.DB) (*checkpoint, error) {
	cp, found, err := loadCheckpoint(ctx, db, run.flow)
	switch {
	case err != nil || !found:
		return nil, err
	case cp.position.Compare(run.after) <= 0:
		return nil, thaw(ctx, db)
	}
	return &cp, nil
}

// receive copies from the snapshot that the flow's intake has handed over, if
// there is one. Where the flow stands still at the marker, as between windows,
// another snapshot does as well: the first one may have gone with a process.
func (k *keeper) receive(ctx context.Context, at frozenAt) (err error) {
	snapshot := k.handed.take()
	if snapshot == nil && at.shadow != nil && at.shadow.eventID == at.flowAt.eventID {
		if snapshot, err = k.db.Snapshot(ctx); err != nil {
			return err
		}
		cp, _, err := loadCheckpoint(ctx, snapshot, k.consumer.Flow.Name)
		if err != nil || cp.eventID != at.shadow.eventID {
			return errors.Join(err, snapshot.Close())
		}
	}
	if snapshot == nil {
		return nil
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	cp, _, err := loadCheckpoint(ctx, snapshot, k.consumer.Flow.Name)
	if err != nil {
		return err
	}
	kept, err := freezeInto(ctx, k.consumer, snapshot, k.run.frozenFlow)
	if err == nil && !kept {
		k.miss(cp.eventID)
	}
	return err
}

// settleOne takes one step, and tells whether there was one to take.
func (k *keeper) settleOne(ctx context.Context, at frozenAt) (bool, error) {
	run := k.run
	switch flow, shadow := at.flow, at.shadow; {
	case flow != nil && shadow != nil && flow.eventID == shadow.eventID:
		return true, k.compare(ctx, *flow, *shadow)
	case shadow != nil && (flow != nil && flow.position.Compare(shadow.position) > 0 || flow == nil && at.flowAt.position.Compare(shadow.position) > 0):
		return true, k.lose(ctx, *shadow, run.frozen)
	case flow != nil && (shadow != nil || at.shadowAt.position.Compare(flow.position) > 0):
		return true, k.lose(ctx, *flow, run.frozenFlow)
	}
	return false, nil
}

const (
	whyLost    = "at this marker only one of the two could be kept: the service was restarted then, or was busy with another comparison; the next one tells"
	whySteered = "a request about a parked event has been followed by one of the two only; the next comparison tells"
)

// answerMissed gives up the comparisons that somebody waits for and that one side
// has passed without keeping anything.
func (k *keeper) answerMissed(ctx context.Context, at frozenAt) error {
	markers := map[string]eventlog.Position{}
	for e, err := range k.streams.Log.ReadStream(ctx, k.run.stream, eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look which comparisons are asked for: %w", err)
		}
		switch e.Type {
		case markerSet:
			markers[e.ID.String()] = e.Position
		case shadowCompared:
			event, err := k.streams.Codec.Decode(ctx, e)
			if err != nil {
				return fmt.Errorf("look which comparisons are asked for: %w", err)
			}
			if compared, ok := event.Message.(*flowv1.ShadowCompared); ok {
				delete(markers, compared.GetMarkerId())
			}
		}
	}
	for id, position := range markers {
		gone := func(frozen *checkpoint, cp checkpoint, in *Intake) bool {
			return (frozen == nil || frozen.eventID != id) && (cp.position.Compare(position) > 0 || in.missedAt(id))
		}
		if gone(at.flow, at.flowAt, k.Intake) || gone(at.shadow, at.shadowAt, k.run.intake) {
			if err := k.tellLost(ctx, checkpoint{flow: at.flowAt.flow, eventID: id, position: position}); err != nil {
				return err
			}
		}
	}
	return nil
}

const shadowCompared = "flow.ShadowCompared"

func (k *keeper) tellLost(ctx context.Context, at checkpoint) error {
	return k.tellCompared(ctx, at, &flowv1.ShadowCompared{Outcome: flowv1.ShadowOutcome_SHADOW_OUTCOME_NOT_COMPARED, Reason: whyLost})
}

// lose gives a comparison up that only one side was there for.
func (k *keeper) lose(ctx context.Context, at checkpoint, frozen *projection.DB) error {
	if err := k.tellLost(ctx, at); err != nil {
		return err
	}
	return thaw(ctx, frozen)
}

// compare compares flow and shadow, both at the same marker, tells what came of
// it, and lets go of what was kept for it.
func (k *keeper) compare(ctx context.Context, flow, shadow checkpoint) (err error) {
	ctx, span := k.beginWork(ctx, tracing.Compare, flow.epoch, trace.SpanContext{})
	defer func() { span.End(err) }()
	span.Of(k.run.shadow)
	compared := &flowv1.ShadowCompared{Outcome: flowv1.ShadowOutcome_SHADOW_OUTCOME_NOT_COMPARED, Reason: whySteered}
	conclusive := flow.steered == shadow.steered
	if conclusive {
		c := comparison{consumer: k.consumer, parity: k.run.parity, flow: k.run.frozenFlow, shadow: k.run.frozen}
		if compared, err = c.compare(ctx, flow, shadow); err != nil {
			return fmt.Errorf("compare with the shadow: %w", err)
		}
	}
	span.Outcome(compared.GetOutcome().String())
	if err := k.tellCompared(ctx, flow, compared); err != nil {
		return err
	}
	if conclusive {
		if err := k.concluded(ctx, flow); err != nil {
			return err
		}
	}
	return errors.Join(thaw(ctx, k.run.frozen), thaw(ctx, k.run.frozenFlow))
}

// concluded has the next comparison begin where this one was.
func (k *keeper) concluded(ctx context.Context, at checkpoint) error {
	next := *k.run.parity // the intake of the shadow holds the one there is
	next.after, next.steered = at.position, at.steered
	if err := k.run.db.UpdateQuietly(ctx, func(tx *projection.Tx) error { return next.store(ctx, tx) }); err != nil {
		return err
	}
	k.run.parity = &next
	for _, db := range []*projection.DB{k.db, k.run.db} {
		if err := forgetCauses(ctx, db, next.flow, next.after, next.steered); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) tellCompared(ctx context.Context, at checkpoint, m *flowv1.ShadowCompared) error {
	m.Flow, m.ShadowId, m.MarkerId, m.Position = at.flow, k.run.shadow, at.eventID, wire(at.position)
	told, err := newControl(k.consumer.Flow, k.run.stream, "shadow-compared:"+m.GetShadowId()+":"+m.GetMarkerId(), m, time.Now().UTC()).ensure(ctx, k.streams)
	if err == nil && !told.Repeated {
		k.measured.compared(m)
	}
	return err
}

// comparison is of what has been kept of a flow and of its shadow at a marker.
type comparison struct {
	consumer     Consumer
	parity       *parity
	flow, shadow *projection.DB
}

// namedAtMost is how many rows that differ are named of each kind.
const namedAtMost = 10

func (c comparison) compare(ctx context.Context, flow, shadow checkpoint) (*flowv1.ShadowCompared, error) {
	compared := &flowv1.ShadowCompared{Outcome: flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT}
	var a, b side
	var err error
	if a, err = c.look(ctx, c.flow, flow); err != nil {
		return nil, err
	}
	if b, err = c.look(ctx, c.shadow, shadow); err != nil {
		return nil, err
	}
	compared.Live, compared.Shadow = a.wire(), b.wire()
	if a.agrees(b) {
		compared.Outcome = flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL
	}
	for _, part := range []struct {
		schema    projection.Schema
		differ    bool
		differing *uint64
	}{
		{c.consumer.Schema, a.content != b.content, &compared.RowsDiffering},
		{causesCompared, a.causes != b.causes, &compared.CausesDiffering},
		{parkedCompared, a.parked != b.parked, &compared.ParkedDiffering},
	} {
		if !part.differ {
			continue
		}
		d, err := part.schema.Diff(ctx, c.flow, c.shadow, namedAtMost)
		if err != nil {
			return nil, err
		}
		*part.differing = d.Rows
		for _, one := range d.First {
			compared.First = append(compared.First, named(one))
		}
	}
	if a.late+b.late > 0 {
		d, err := fatesCompared.Diff(ctx, c.flow, c.shadow, 0)
		if err != nil {
			return nil, err
		}
		compared.CausesLateInOne = d.Rows - compared.GetCausesDiffering()
	}
	return compared, nil
}

// side is one of the two, at a marker.
type side struct {
	checkpoint

	content, causes, parked projection.Content
	late                    uint64 // causes
}

// agrees tells whether both hold the same, and have come to it in the same order
// of each key.
func (s side) agrees(o side) bool {
	return s.content == o.content && s.causes == o.causes && s.parked == o.parked &&
		s.digest == o.digest && s.taken == o.taken && s.epoch == o.epoch
}

func (s side) wire() *flowv1.ShadowSide {
	return &flowv1.ShadowSide{
		ContentDigest: s.content.Digest.String(), Rows: s.content.Rows, IntakeDigest: s.digest.String(), Taken: s.taken,
		CauseDigest: s.causes.Digest.String(), Causes: s.causes.Rows, CausesLate: s.late, Parked: s.parked.Rows,
	}
}

// look digests one side. Of the causes those are left that have been taken since
// the last comparison.
func (c comparison) look(ctx context.Context, db *projection.DB, cp checkpoint) (s side, err error) {
	s.checkpoint = cp
	err = db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM flow_shadow_cause WHERE commit_position <= ? AND steered <= ?`, c.parity.after.Commit, c.parity.steered)
		return err
	})
	if err != nil {
		return s, err
	}
	for _, part := range []struct {
		schema  projection.Schema
		content *projection.Content
	}{{c.consumer.Schema, &s.content}, {causesCompared, &s.causes}, {parkedCompared, &s.parked}} {
		if *part.content, err = part.schema.Content(ctx, db); err != nil {
			return s, err
		}
	}
	err = db.QueryRow(ctx, `SELECT count(*) FROM flow_shadow_cause WHERE fate = ?`, string(fateLate)).Scan(&s.late)
	return s, err
}

// named names a row that differs, without its values.
func named(d projection.Difference) *flowv1.ShadowDifference {
	one := &flowv1.ShadowDifference{Table: d.Table, Key: d.Key}
	for _, column := range d.Columns {
		name, _, _ := strings.Cut(column, ":")
		one.Columns = append(one.Columns, name)
	}
	switch d.Missing {
	case projection.Here:
		one.MissingFrom = "the flow"
	case projection.There:
		one.MissingFrom = "the shadow"
	case projection.Neither:
	}
	return one
}
