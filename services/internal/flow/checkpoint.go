package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/services/internal/digest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// tables are the runtime's own tables. Every row of theirs that an intake writes
// is written in the transaction of the effect.
var tables = projection.Schema{Name: "flow", Version: 3, Tables: []string{
	`CREATE TABLE flow_checkpoint (
		flow TEXT PRIMARY KEY,
		commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL, event_id TEXT NOT NULL,
		epoch BIGINT NOT NULL, cadence TEXT NOT NULL, owner TEXT NOT NULL,
		taken BIGINT NOT NULL, digest TEXT NOT NULL, parked BIGINT NOT NULL,
		window_taken BIGINT NOT NULL, last_due BIGINT NOT NULL, as_of BIGINT NOT NULL, steered BIGINT NOT NULL)`,
	`CREATE TABLE flow_types (
		flow TEXT, version BIGINT, types TEXT NOT NULL,
		commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL, PRIMARY KEY (flow, version))`,
	`CREATE TABLE flow_environment (id TEXT PRIMARY KEY)`,
	`CREATE TABLE flow_chain (flow TEXT, epoch BIGINT, key TEXT, chain BLOB NOT NULL, PRIMARY KEY (flow, epoch, key)) WITHOUT ROWID`,
	`CREATE TABLE flow_parked (
		flow TEXT, event_id TEXT, key TEXT NOT NULL, type TEXT NOT NULL,
		commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL,
		parked_at BIGINT NOT NULL, attempts BIGINT NOT NULL, reason TEXT NOT NULL,
		PRIMARY KEY (flow, event_id))`,
	`CREATE INDEX flow_parked_key ON flow_parked (flow, key)`,
	`CREATE TABLE flow_late (
		flow TEXT, reaction TEXT, key TEXT,
		commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL, stream TEXT NOT NULL, revision BIGINT NOT NULL,
		PRIMARY KEY (flow, reaction, key))`,
	`CREATE TABLE flow_closing (
		flow TEXT, epoch BIGINT, commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL,
		taken BIGINT NOT NULL, digest TEXT NOT NULL, parked BIGINT NOT NULL,
		PRIMARY KEY (flow, epoch))`,
	`CREATE TABLE flow_outbox (
		id TEXT PRIMARY KEY, seq BIGINT NOT NULL, stream TEXT NOT NULL, message BLOB NOT NULL,
		service TEXT NOT NULL, decided_at BIGINT NOT NULL)`,
}}

// checkpoint is how far a flow has been taken in, and under what.
type checkpoint struct {
	flow     string
	position eventlog.Position // of the last event that was taken in
	eventID  string            // its id, by which a foreign or restored store is known; empty at the start
	epoch    uint64
	cadence  string
	owner    string     // the token of the process that takes the flow in
	taken    uint64     // events of the flow's types in this epoch, parked ones included
	digest   digest.Sum // over them
	parked   uint64     // events that are parked now
	window   uint64     // events of the flow's types since the last window closed
	lastDue  time.Time
	asOf     time.Time // by the store's time, of the last event that was taken in
	steered  uint64    // the revision in the control stream that comes after the last request about a parked event
}

// errFenced says that the checkpoint has moved under an intake: another one owns
// the flow now.
var errFenced = errors.New("another process has taken over the flow")

const checkpointColumns = `commit_position, prepare_position, event_id, epoch, cadence, owner, taken, digest, parked, window_taken, last_due, as_of, steered`

func loadCheckpoint(ctx context.Context, q projection.Querier, flow string) (cp checkpoint, found bool, err error) {
	cp.flow = flow
	var sum string
	var lastDue, asOf int64
	err = q.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM flow_checkpoint WHERE flow = ?`, flow).Scan(
		&cp.position.Commit, &cp.position.Prepare, &cp.eventID, &cp.epoch, &cp.cadence, &cp.owner,
		&cp.taken, &sum, &cp.parked, &cp.window, &lastDue, &asOf, &cp.steered)
	if errors.Is(err, sql.ErrNoRows) {
		return checkpoint{flow: flow}, false, nil
	}
	if err != nil {
		return cp, false, fmt.Errorf("read the checkpoint of %s: %w", flow, err)
	}
	cp.lastDue, cp.asOf = time.Unix(0, lastDue).UTC(), time.Unix(0, asOf).UTC()
	cp.digest, err = digest.Parse(sum)
	return cp, true, err
}

func insertCheckpoint(ctx context.Context, tx *projection.Tx, cp checkpoint) error {
	_, err := tx.Exec(ctx, `INSERT INTO flow_checkpoint (flow, `+checkpointColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		cp.flow, cp.position.Commit, cp.position.Prepare, cp.eventID, cp.epoch, cp.cadence, cp.owner,
		cp.taken, cp.digest.String(), cp.parked, cp.window, cp.lastDue.UnixNano(), cp.asOf.UnixNano(), cp.steered)
	if err != nil {
		return fmt.Errorf("write the first checkpoint of %s: %w", cp.flow, err)
	}
	return nil
}

// fence fails with errFenced unless the owner in cp is still the flow's. Until the
// transaction ends nobody else takes the flow over or in: an owner that was
// replaced is stopped here, before it writes or answers anything.
func fence(ctx context.Context, tx *projection.Tx, cp checkpoint) error {
	result, err := tx.Exec(ctx, `UPDATE flow_checkpoint SET owner = ? WHERE flow = ? AND owner = ?`, cp.owner, cp.flow, cp.owner)
	if err := wantOne(result, err); err != nil {
		return fmt.Errorf("go on with %s: %w", cp.flow, err)
	}
	return nil
}

// swapCheckpoint moves the checkpoint from was to is, if it stands at was: same
// position, same epoch, same owner, same request. Otherwise it fails with errFenced, and the
// transaction must not be committed.
func swapCheckpoint(ctx context.Context, tx *projection.Tx, was, is checkpoint) error {
	result, err := tx.Exec(ctx, `UPDATE flow_checkpoint SET
			commit_position = ?, prepare_position = ?, event_id = ?, epoch = ?, cadence = ?, owner = ?,
			taken = ?, digest = ?, parked = ?, window_taken = ?, last_due = ?, as_of = ?, steered = ?
		WHERE flow = ? AND commit_position = ? AND prepare_position = ? AND epoch = ? AND owner = ? AND steered = ?`,
		is.position.Commit, is.position.Prepare, is.eventID, is.epoch, is.cadence, is.owner,
		is.taken, is.digest.String(), is.parked, is.window, is.lastDue.UnixNano(), is.asOf.UnixNano(), is.steered,
		was.flow, was.position.Commit, was.position.Prepare, was.epoch, was.owner, was.steered)
	if err != nil {
		return fmt.Errorf("move the checkpoint of %s: %w", was.flow, err)
	}
	if err := wantOne(result, err); err != nil {
		return fmt.Errorf("move the checkpoint of %s: %w", was.flow, err)
	}
	return nil
}
