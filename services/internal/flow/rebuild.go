package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// A projection whose tables are of another version than this build's, an older or
// a newer one, is rebuilt: the flow is folded once more, into tables beside, up to
// the checkpoint and never further. Then the tables change places:
//
//	tables in use    v1 ─────── taken in by an older build ────────┐ v2
//	checkpoint       ├────────────────┼──────────────────┼─────────┼──▶
//	tables beside    v2: folded up to here,     then up to here    └ the rest, and
//	                                                                 swapped
//
// What is parked is left out, and so is what was skipped; causes are not answered.
// The swap is one transaction: it takes the flows over, so that nobody moves a
// checkpoint any more, folds the rest, and replaces the tables. Whatever ends
// before leaves the old tables as they were, and those beside for whoever begins
// again: how far they have come is a row among theirs.

// tables that tell of rebuilding, and what it has to know.
var rebuildTables = projection.Schema{Name: "flow_rebuild", Version: 1, Tables: []string{
	// which versions the replica wants that has begun to rebuild last
	`CREATE TABLE flow_rebuild_wanted (role TEXT PRIMARY KEY, versions TEXT NOT NULL)`,
	// the databases beside that there are
	`CREATE TABLE flow_rebuild_beside (name TEXT PRIMARY KEY)`,
	// the parked events that were skipped
	`CREATE TABLE flow_rebuild_skipped (flow TEXT, event_id TEXT, PRIMARY KEY (flow, event_id))`,
}}

// besideTables go with tables beside: how far they have come, and what was parked
// on the way.
var besideTables = projection.Schema{Name: "rebuild", Version: 1, Tables: []string{
	`CREATE TABLE rebuild_progress (role TEXT PRIMARY KEY, commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL)`,
	`CREATE TABLE rebuild_parked (event_id TEXT PRIMARY KEY, commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL)`,
}}

const progressRole = "fold"

// noteSkipped remembers that an event was skipped, in the transaction that does so.
func (t *taking) noteSkipped(ctx context.Context, p parkedEvent) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO flow_rebuild_skipped (flow, event_id) VALUES (?,?) ON CONFLICT (flow, event_id) DO NOTHING`, t.cp.flow, p.id)
	if err != nil {
		return fmt.Errorf("note that an event is skipped: %w", err)
	}
	return nil
}

// target is what tables beside are to come to: what the flow has taken in.
type target struct {
	position eventlog.Position
	types    typesHistory
	parked   map[string]parkedEvent
	skipped  map[string]bool
}

// loadTarget reads how far a flow has been taken in. q sees one state of
// everything.
func loadTarget(ctx context.Context, q projection.Querier, flow string) (target, error) {
	cp, _, err := loadCheckpoint(ctx, q, flow)
	if err != nil {
		return target{}, err
	}
	to := target{position: cp.position, parked: map[string]parkedEvent{}, skipped: map[string]bool{}}
	if to.types, err = loadTypes(ctx, q, flow); err != nil {
		return target{}, err
	}
	parked, err := loadParked(ctx, q, `flow = ?`, flow)
	if err != nil {
		return target{}, err
	}
	for _, p := range parked {
		to.parked[p.id] = p
	}
	rows, err := q.Query(ctx, `SELECT event_id FROM flow_rebuild_skipped WHERE flow = ?`, flow)
	if err == nil {
		_, err = projection.Collect(rows, func(row projection.Scanner, _ *struct{}) error {
			var id string
			err := row.Scan(&id)
			to.skipped[id] = true
			return err
		})
	}
	if err != nil {
		return target{}, fmt.Errorf("look which events were skipped: %w", err)
	}
	return to, nil
}

// takes tells whether an event of the log has been taken in.
func (to target) takes(e eventlog.Event) bool {
	_, parked := to.parked[e.ID.String()]
	return to.types.carry(e.Type, e.Position) && !parked && !to.skipped[e.ID.String()]
}

// rebuilt is a projection that is rebuilt.
type rebuilt struct {
	in     *Intake
	name   string // of the database beside
	beside *projection.DB
	// told is called with how far it has come, and confirm before anything is
	// written: it fails when this replica is to stop.
	told    func(in *Intake, at, of eventlog.Position)
	confirm func(context.Context) error
}

// nameBeside names the database beside. It is another one for each version, so
// that what is left there is never taken for something else.
func nameBeside(s projection.Schema) string { return fmt.Sprintf("rebuild_%s_v%d", s.Name, s.Version) }

// open opens the database beside, with what an earlier attempt has left there.
func (r *rebuilt) open(ctx context.Context, db *projection.DB) (err error) {
	if r.beside, err = db.Beside(ctx, r.name); err != nil {
		return err
	}
	if err := r.beside.Create(ctx, besideTables, r.in.consumer.Schema); err != nil {
		return fmt.Errorf("make the tables beside: %w", err)
	}
	return r.beside.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO rebuild_progress (role, commit_position, prepare_position) VALUES (?,0,0) ON CONFLICT (role) DO NOTHING`, progressRole)
		return err
	})
}

// errAhead says that tables beside hold what has not been taken in.
var errAhead = errors.New("the tables beside have come further than the checkpoint")

// catchUp brings the tables beside to where the flow is now, or was a moment ago.
func (r *rebuilt) catchUp(ctx context.Context, db *projection.DB) (folded uint64, err error) {
	now, err := db.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	to, err := loadTarget(ctx, now, r.in.consumer.Flow.Name)
	if err := errors.Join(err, now.Close()); err != nil {
		return 0, err
	}
	return r.bring(ctx, to, func(change func(*projection.Tx) error) error { return r.beside.UpdateQuietly(ctx, change) })
}

// swapIn puts the tables beside in the place of the old ones, with what is still
// missing, in a transaction in which the checkpoint does not move.
func (r *rebuilt) swapIn(ctx context.Context, db *projection.DB, tx *projection.Tx) error {
	to, err := loadTarget(ctx, tx, r.in.consumer.Flow.Name)
	if err != nil {
		return err
	}
	if err := db.Adopt(ctx, tx, r.beside, besideTables, r.in.consumer.Schema); err != nil {
		return err
	}
	if _, err := r.bring(ctx, to, func(change func(*projection.Tx) error) error { return change(tx) }); err != nil {
		return err
	}
	return besideTables.Discard(ctx, tx)
}

// bring folds into the tables what is missing in them. Rows and progress are
// written in one transaction, by update.
func (r *rebuilt) bring(ctx context.Context, to target, update func(func(*projection.Tx) error) error) (folded uint64, err error) {
	var at eventlog.Position
	err = update(func(tx *projection.Tx) (err error) {
		if at, err = loadProgress(ctx, tx); err != nil {
			return err
		}
		if at.Compare(to.position) > 0 {
			return errAhead
		}
		return r.release(ctx, tx, at, to)
	})
	if err != nil {
		return 0, err
	}
	r.told(r.in, at, to.position)
	err = r.fold(at, to).inBatches(ctx, func(batch foldedBatch) error {
		if err := r.confirm(ctx); err != nil {
			return err
		}
		err := update(func(tx *projection.Tx) error {
			if err := moveProgress(ctx, tx, at, batch.until); err != nil {
				return err
			}
			return r.fold(at, to).project(ctx, tx, batch.events)
		})
		if err != nil {
			return err
		}
		at = batch.until
		folded += uint64(len(batch.events))
		r.told(r.in, at, to.position)
		return nil
	})
	return folded, err
}

func (r *rebuilt) fold(after eventlog.Position, to target) fold {
	return fold{
		consumer: r.in.consumer, streams: r.in.streams, after: after, until: to.position,
		takes: func(e eventlog.Event) bool { return r.in.types[e.Type] && to.takes(e) },
	}
}

// release projects the events that were parked when the fold came by, and have
// been taken in since. Later ones of their keys waited behind them, so that all of
// a key are projected in order. Then it notes what is parked further on.
func (r *rebuilt) release(ctx context.Context, tx *projection.Tx, at eventlog.Position, to target) error {
	rows, err := tx.Query(ctx, `SELECT event_id, commit_position, prepare_position FROM rebuild_parked ORDER BY commit_position, prepare_position`)
	if err != nil {
		return fmt.Errorf("look what was left out: %w", err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, p *parkedEvent) error {
		return row.Scan(&p.id, &p.position.Commit, &p.position.Prepare)
	})
	if err != nil {
		return fmt.Errorf("look what was left out: %w", err)
	}
	for _, p := range all {
		if _, still := to.parked[p.id]; still || to.skipped[p.id] {
			continue
		}
		if p.position.Compare(at) <= 0 {
			if err := r.projectOne(ctx, tx, p); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM rebuild_parked WHERE event_id = ?`, p.id); err != nil {
			return fmt.Errorf("note what is left out: %w", err)
		}
	}
	for _, p := range to.parked {
		if p.position.Compare(at) <= 0 {
			continue // it has been noted
		}
		_, err := tx.Exec(ctx, `INSERT INTO rebuild_parked (event_id, commit_position, prepare_position) VALUES (?,?,?) ON CONFLICT (event_id) DO NOTHING`,
			p.id, p.position.Commit, p.position.Prepare)
		if err != nil {
			return fmt.Errorf("note what is left out: %w", err)
		}
	}
	return nil
}

func (r *rebuilt) projectOne(ctx context.Context, tx *projection.Tx, p parkedEvent) error {
	event, err := (&taking{Intake: r.in}).readParked(ctx, p)
	if err != nil {
		return err
	}
	if err := r.in.consumer.Project(ctx, tx, event); err != nil {
		return fmt.Errorf("fold %s %s: %w", event.Type, event.ID, err)
	}
	return nil
}

func loadProgress(ctx context.Context, tx *projection.Tx) (at eventlog.Position, err error) {
	err = tx.QueryRow(ctx, `SELECT commit_position, prepare_position FROM rebuild_progress WHERE role = ?`, progressRole).Scan(&at.Commit, &at.Prepare)
	if err != nil {
		return at, fmt.Errorf("look how far the tables beside have come: %w", err)
	}
	return at, nil
}

// moveProgress fails with errFenced when somebody else is at the tables beside.
func moveProgress(ctx context.Context, tx *projection.Tx, was, is eventlog.Position) error {
	result, err := tx.Exec(ctx, `UPDATE rebuild_progress SET commit_position = ?, prepare_position = ? WHERE role = ? AND commit_position = ? AND prepare_position = ?`,
		is.Commit, is.Prepare, progressRole, was.Commit, was.Prepare)
	if err := wantOne(result, err); err != nil {
		return fmt.Errorf("note how far the tables beside have come: %w", err)
	}
	return nil
}
