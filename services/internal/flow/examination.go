package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// faultsTold bounds how many faults of a kind are told.
const faultsTold = 20

// examination is one audit. Of the checkpoint it takes where the flow is, in the
// same snapshot as the rows, and nothing that is counted or digested there.
type examination struct {
	*Intake
	source   audit.Source
	snapshot *projection.Snapshot
	at       eventlog.Position // the checkpoint's
	head     eventlog.Position // of the log: answers come after their causes
	scope    audit.Scope
	ledger   *audit.Ledger
	answers  *audit.Answers
	told     *flowv1.AuditCompleted
}

func (x *examination) run(ctx context.Context, asked *flowv1.AuditRequested) error {
	cp, _, err := loadCheckpoint(ctx, x.snapshot, x.consumer.Flow.Name)
	if err != nil {
		return err
	}
	x.at, x.told.Position = cp.position, wire(cp.position)
	steering, err := x.steering(ctx, cp.steered)
	if err != nil {
		return err
	}
	x.source.Versions = steering.Versions
	if x.scope, err = steering.Scope(asked, x.at); err != nil {
		return err
	}
	aside, err := x.aside(ctx, steering)
	if err != nil {
		return err
	}
	x.ledger = audit.NewLedger(x.scope.Range, steering.Versions, x.scope.Kept, aside)
	for _, step := range []func(context.Context) error{x.readLog, x.compareChains, x.countAnswers, x.compareContent} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	x.tellVersions()
	return nil
}

// steering reads what was asked of the flow, when it is told what came of all
// that the snapshot has followed. Which event was skipped is so known from the
// operator's request; that it had an effect is what rows and answers show.
func (x *examination) steering(ctx context.Context, steered uint64) (*audit.Steering, error) {
	for {
		steering, err := x.source.Steering(ctx)
		if err != nil || steering.Answered(steered) {
			return steering, err
		}
		if !sleep(ctx, calm) {
			return nil, ctx.Err()
		}
	}
}

// aside returns the events that were taken in and are not delivered.
func (x *examination) aside(ctx context.Context, steering *audit.Steering) (map[uuid.UUID]audit.Aside, error) {
	aside := map[uuid.UUID]audit.Aside{}
	for id := range steering.Skipped {
		aside[id] = audit.Skipped
	}
	parked, err := loadParked(ctx, x.snapshot, `flow = ?`, x.consumer.Flow.Name)
	if err != nil {
		return nil, err
	}
	for _, p := range parked {
		id, err := uuid.Parse(p.id)
		if err != nil {
			return nil, fmt.Errorf("the id of a parked event: %w", err)
		}
		aside[id] = audit.Parked
		x.told.ParkedIds = append(x.told.ParkedIds, p.id)
	}
	return aside, nil
}

// readLog reads the range, and whatever answers it: once, whatever is to be found
// out.
func (x *examination) readLog(ctx context.Context) (err error) {
	if x.head, err = x.source.Head(ctx); err != nil {
		return err
	}
	handlers := make([]string, 0, len(x.consumer.Reactions))
	for _, r := range x.consumer.Reactions {
		handlers = append(handlers, r.Name)
	}
	x.answers = audit.NewAnswers(handlers...)
	err = x.source.Each(ctx, audit.Range{From: x.scope.Begins(), To: x.head}, func(seen audit.Seen) error {
		if seen.Own && seen.As.Position.Compare(x.at) <= 0 && x.ledger.Add(seen.As) && seen.Fault == nil {
			x.addCauses(seen)
		}
		x.answers.Event(seen.Event.Event, seen.Origin)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range x.ledger.Unknown() {
		x.tell(&flowv1.AuditFault{
			Kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_PARKED_UNKNOWN, EventId: id.String(), Events: 1, Detail: "the log does not have it",
		})
	}
	return nil
}

func (x *examination) addCauses(seen audit.Seen) {
	for _, r := range x.consumer.Reactions {
		if r.Takes(seen.Event) {
			x.answers.Cause(r.Name, audit.Cause{ID: seen.ID, Key: seen.As.Key, Position: seen.As.Position})
		}
	}
}

// compareChains holds the chains of the consumer's rows against the log's, and
// looks for what explains each that differs.
func (x *examination) compareChains(ctx context.Context) error {
	var differ []*audit.Suspect
	told := map[uint64]*flowv1.AuditedEpoch{}
	for _, a := range x.ledger.Accounts() {
		rows := a.Compare()
		if err := x.readChains(ctx, a.Number, rows.Add); err != nil {
			return err
		}
		rows.End()
		differ = append(differ, rows.Differ...)
		told[a.Number] = &flowv1.AuditedEpoch{Epoch: a.Number, Keys: rows.Keys, ChainSum: rows.Sum.String()}
		x.told.Epochs = append(x.told.Epochs, told[a.Number])
	}
	if len(differ) == 0 {
		return nil
	}
	suspects := x.ledger.Look(differ)
	err := x.source.Each(ctx, audit.Range{From: x.scope.Begins(), To: x.at}, func(seen audit.Seen) error {
		if seen.Own {
			suspects.Add(seen.As)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range suspects.Faults() {
		if !f.Explained {
			told[f.Epoch].UnexplainedKeys++
		}
		x.tell(faultOf(f))
	}
	return nil
}

// readChains reads the chains of an epoch from the rows.
func (x *examination) readChains(ctx context.Context, epoch uint64, add func(string, audit.Chain)) error {
	rows, err := x.snapshot.Query(ctx, `SELECT key, chain FROM flow_chain WHERE flow = ? AND epoch = ?`, x.consumer.Flow.Name, epoch)
	if err == nil {
		_, err = projection.Collect(rows, func(row projection.Scanner, _ *struct{}) error {
			var key string
			var raw []byte
			err := row.Scan(&key, &raw)
			var c audit.Chain
			copy(c[:], raw)
			add(key, c)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("read the chains of epoch %d: %w", epoch, err)
	}
	return nil
}

func faultOf(f audit.Fault) *flowv1.AuditFault {
	told := &flowv1.AuditFault{Kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNEXPLAINED, Key: f.Key, Events: uint64(len(f.Events))}
	if f.Explained {
		told.Kind = map[audit.Kind]flowv1.AuditFaultKind{
			audit.Missing:    flowv1.AuditFaultKind_AUDIT_FAULT_KIND_MISSING,
			audit.Twice:      flowv1.AuditFaultKind_AUDIT_FAULT_KIND_TWICE,
			audit.OutOfOrder: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_OUT_OF_ORDER,
		}[f.Kind]
	}
	if len(f.Events) > 0 {
		told.EventId, told.Position, told.Detail = f.Events[0].ID.String(), wire(f.Events[0].Position), f.Events[0].Type
	}
	return told
}

// tell tells a fault, unless there have been many of its kind.
func (x *examination) tell(f *flowv1.AuditFault) {
	same := 0
	for _, other := range x.told.Faults {
		if other.GetKind() == f.GetKind() {
			same++
		}
	}
	if same < faultsTold {
		x.told.Faults = append(x.told.Faults, f)
	}
}

func (x *examination) tellVersions() {
	for _, l := range x.ledger.Lines {
		x.told.Versions = append(x.told.Versions, &flowv1.AuditedVersion{
			Version: l.Number, Produced: l.Produced, Filtered: l.Filtered, Parked: l.Parked,
			Missing: l.Missing, Twice: l.Twice, OutOfOrder: l.OutOfOrder, Unexplained: l.Unexplained,
		})
	}
}

// compareContent folds the flow's events once more, into tables beside, and
// compares the tables with them.
func (x *examination) compareContent(ctx context.Context) (err error) {
	if x.consumer.Project == nil {
		return nil
	}
	scratch, err := x.scratch(ctx)
	if err != nil {
		return err
	}
	// Dropped before anybody is told: what a crash leaves behind is dropped when the
	// request is answered again.
	defer func() { err = errors.Join(err, scratch.Drop(context.WithoutCancel(ctx))) }()
	again := fold{consumer: x.consumer, streams: x.streams, takes: func(e eventlog.Event) bool {
		return x.ledger.Aside[e.ID] == 0 && audit.Due(x.source.Versions, e.Type, e.Position)
	}}
	var folded uint64
	foldTo := func(place eventlog.Position) error {
		again.after, again.until = again.until, place
		n, err := again.into(ctx, scratch)
		folded += n
		return err
	}
	for _, e := range x.scope.Epochs {
		if !e.Ended {
			continue
		}
		if err := foldTo(e.Until); err != nil {
			return err
		}
		if err := x.tellEnd(ctx, e.Number, scratch); err != nil {
			return err
		}
	}
	if err := foldTo(x.at); err != nil {
		return err
	}
	return x.diff(ctx, scratch, folded)
}

// tellEnd tells what the tables come to at the end of an epoch.
func (x *examination) tellEnd(ctx context.Context, epoch uint64, scratch *projection.DB) error {
	content, err := x.consumer.Schema.Content(ctx, scratch)
	if err != nil {
		return err
	}
	x.told.Ends = append(x.told.Ends, &flowv1.AuditedEnd{
		Epoch: epoch, ContentDigest: content.Digest.String(), ContentRows: content.Rows, ContentVersion: uint64(x.consumer.Schema.Version), //nolint:gosec // versions count from 1
	})
	return nil
}

// scratch opens an empty database beside the service's.
func (x *examination) scratch(ctx context.Context) (*projection.DB, error) {
	name := "audit-" + x.consumer.Flow.Name
	left, err := x.db.Beside(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := left.Drop(ctx); err != nil {
		return nil, err
	}
	return x.db.Beside(ctx, name)
}

func (x *examination) diff(ctx context.Context, scratch *projection.DB, folded uint64) error {
	schema := x.consumer.Schema
	here, err := schema.Content(ctx, x.snapshot)
	if err != nil {
		return err
	}
	there, err := schema.Content(ctx, scratch)
	if err != nil {
		return err
	}
	d, err := schema.Diff(ctx, x.snapshot, scratch, faultsTold)
	if err != nil {
		return err
	}
	x.told.Content = &flowv1.AuditedContent{
		Folded: folded, Rows: there.Rows, Digest: there.Digest.String(), DigestHere: here.Digest.String(), Differ: d.Rows, Personal: d.Personal,
	}
	for _, row := range d.First {
		x.tell(&flowv1.AuditFault{Kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW, Key: row.Table + " " + row.Key, Detail: describeRow(row)})
	}
	return nil
}

func describeRow(d projection.Difference) string {
	switch d.Missing {
	case projection.Here:
		return "is missing"
	case projection.There:
		return "should not be there"
	default:
		return fmt.Sprintf("differs (as it is, as it should be): %v", d.Columns)
	}
}
