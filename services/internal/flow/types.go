package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Which types a flow carries changes with the build that takes it in. Each change
// is a version, and begins where the flow has come to:
//
//	version  1            2                 3            4
//	types    A            A B               A            A B
//	         ├────────────┼─────────────────┼────────────┼──────────▶ the log
//	         the start    rolled forward    rolled back  forward again
//
// An event of a type that its version lacks is passed over, so that the tables are
// a function of the log and of the versions, which are told on the control stream.
// Who begins on an empty database follows them, and comes to the same tables.
//
// B loses nothing between 3 and 4 if it is gated: it is written only once no build
// runs that lacks it, and from there on no flow goes on with such a build.

// typesVersion is the types that a flow carries after a position.
type typesVersion struct {
	number uint64
	types  []string // sorted
	after  eventlog.Position
}

// typesHistory is the versions of a flow's types, by number.
type typesHistory []typesVersion

// carry tells whether an event of the type at the position is the flow's.
func (h typesHistory) carry(eventType string, at eventlog.Position) bool {
	for _, v := range slices.Backward(h) {
		if v.after.Compare(at) < 0 {
			return slices.Contains(v.types, eventType)
		}
	}
	return false
}

// with replaces the versions that both know by the other's, which have been told
// to everybody, and adds what only it knows.
func (h typesHistory) with(told typesHistory) typesHistory {
	merged := slices.Clone(told)
	for _, v := range h {
		if !slices.ContainsFunc(told, func(t typesVersion) bool { return t.number == v.number }) {
			merged = append(merged, v)
		}
	}
	slices.SortFunc(merged, func(a, b typesVersion) int { return int(a.number) - int(b.number) })
	return merged
}

// adopt adds a version when the types are others than the last one's. It begins at
// the position, but never before the last one: a database that is empty has yet to
// come to where that began.
func (h typesHistory) adopt(types []string, at eventlog.Position) (all typesHistory, changed bool) {
	types = slices.Sorted(slices.Values(types))
	if len(h) == 0 {
		return typesHistory{{number: 1, types: types, after: at}}, true
	}
	last := h[len(h)-1]
	if slices.Equal(last.types, types) {
		return h, false
	}
	if last.after.Compare(at) > 0 {
		at = last.after
	}
	return append(slices.Clone(h), typesVersion{number: last.number + 1, types: types, after: at}), true
}

// carries tells whether an event is one that the flow takes in: of a type that this
// build takes in, and that the flow carries where the event stands.
func (in *Intake) carries(e eventlog.Event) bool {
	return in.types[e.Type] && in.history.carry(e.Type, e.Position)
}

// adoptTypes compares the types of this build with those that the flow carried
// last, and begins a new version when they differ. The control stream is believed
// more than the database, which may be empty, or restored from a backup.
func (in *Intake) adoptTypes(ctx context.Context) error {
	told, err := in.toldTypes(ctx)
	if err != nil {
		return err
	}
	var history typesHistory
	err = in.transact(ctx, nil, func(t *taking) error {
		stored, err := loadTypes(ctx, t.tx, t.cp.flow)
		if err != nil {
			return err
		}
		var changed bool
		if history, changed = stored.with(told).adopt(t.consumer.Flow.Types, t.cp.position); changed {
			v := history[len(history)-1]
			adopted := &flowv1.TypesAdopted{Flow: t.cp.flow, Version: v.number, Types: v.types, Position: wire(v.after)}
			if err := t.postAlways(ctx, flows.ControlStream(t.cp.flow), fmt.Sprintf("types-adopted:%d", v.number), adopted); err != nil {
				return err
			}
		}
		return storeTypes(ctx, t.tx, t.cp.flow, stored, history)
	})
	if err != nil {
		return fmt.Errorf("adopt the types of %s: %w", in.consumer.Flow.Name, err)
	}
	in.history = history
	return nil
}

// toldTypes reads the versions from the control stream.
func (in *Intake) toldTypes(ctx context.Context) (told typesHistory, err error) {
	for e, err := range in.streams.Log.ReadStream(ctx, flows.ControlStream(in.consumer.Flow.Name), eventlog.Forward, 0, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("look which types the flow carries: %w", err)
		}
		if e.Type != typesAdopted {
			continue
		}
		event, err := in.streams.Codec.Decode(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("look which types the flow carries: %w", err)
		}
		if m, ok := event.Message.(*flowv1.TypesAdopted); ok {
			after := eventlog.Position{Commit: m.GetPosition().GetCommit(), Prepare: m.GetPosition().GetPrepare()}
			told = append(told, typesVersion{number: m.GetVersion(), types: m.GetTypes(), after: after})
		}
	}
	return told, nil
}

func loadTypes(ctx context.Context, q projection.Querier, flow string) (typesHistory, error) {
	rows, err := q.Query(ctx, `SELECT version, types, commit_position, prepare_position FROM flow_types WHERE flow = ? ORDER BY version`, flow)
	if err != nil {
		return nil, fmt.Errorf("read the types of a flow: %w", err)
	}
	history, err := projection.Collect(rows, func(row projection.Scanner, v *typesVersion) error {
		var types string
		if err := row.Scan(&v.number, &types, &v.after.Commit, &v.after.Prepare); err != nil {
			return err
		}
		return json.Unmarshal([]byte(types), &v.types)
	})
	if err != nil {
		return nil, fmt.Errorf("read the types of a flow: %w", err)
	}
	return history, nil
}

// storeTypes writes the versions that are new, or other than they were.
func storeTypes(ctx context.Context, tx *projection.Tx, flow string, was, is typesHistory) error {
	for _, v := range is {
		if slices.ContainsFunc(was, func(w typesVersion) bool {
			return w.number == v.number && w.after == v.after && slices.Equal(w.types, v.types)
		}) {
			continue
		}
		types, err := json.Marshal(v.types)
		if err != nil {
			return fmt.Errorf("write the types of a flow: %w", err)
		}
		_, err = tx.Exec(ctx, `INSERT INTO flow_types (flow, version, types, commit_position, prepare_position) VALUES (?,?,?,?,?)
			ON CONFLICT (flow, version) DO UPDATE SET
				types = excluded.types, commit_position = excluded.commit_position, prepare_position = excluded.prepare_position`,
			flow, v.number, string(types), v.after.Commit, v.after.Prepare)
		if err != nil {
			return fmt.Errorf("write the types of a flow: %w", err)
		}
	}
	return nil
}

// verifyActive checks that this build takes in every type that the flow may have
// come to, as it was active there: the build may have been rolled back too far.
// What became active after the checkpoint it meets in the log.
func (in *Intake) verifyActive(ctx context.Context) error {
	active, _, err := contract.Activations(ctx, in.streams)
	if err != nil {
		return err
	}
	for _, a := range active {
		if a.Position.Compare(in.cp.position) > 0 {
			continue
		}
		if err := in.admit(a.TypeActivated); err != nil {
			return err
		}
	}
	return nil
}

// isActivation tells whether an event says that a type may be written from there
// on.
func isActivation(e eventlog.Event) bool {
	return e.Type == typeActivated && e.Stream == flows.ActivationsStream
}

// passActivation goes on past the event that activates a type, if this build takes
// the type in: else the next events of the flow may be ones that it would pass
// over.
func (t *taking) passActivation(ctx context.Context, e eventlog.Event) error {
	event, err := t.streams.Codec.Decode(ctx, e)
	if err != nil {
		return fmt.Errorf("read a control event: %w", err)
	}
	if a, ok := event.Message.(*flowv1.TypeActivated); ok {
		return t.admit(a)
	}
	return nil
}

// admit fails with contract.ErrHeld when the flow carries an active type that this
// build can't take in.
func (in *Intake) admit(a *flowv1.TypeActivated) error {
	f := in.consumer.Flow
	if !slices.Contains(a.GetFlows(), f.Name) {
		return nil
	}
	own, err := contract.Of(f.To, "", f)
	if err != nil {
		return err
	}
	if lacks := contract.Lacks(own, a); lacks != "" {
		return fmt.Errorf("this build %s: %w", lacks, contract.ErrHeld)
	}
	return nil
}
