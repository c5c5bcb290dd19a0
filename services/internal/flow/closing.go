package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cenkalti/backoff/v5"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// An epoch ends in the transaction that takes in its marker. What the tables hold
// at that moment is read from a snapshot, which is opened before anything of the
// next epoch is taken in, and read beside it: large tables hold up no flow.
//
//	marker taken in ──▶ snapshot ──▶ next epoch …
//	                       └─ read the rows ──▶ EpochClosed, by the outbox
//
// Until it is told, a row of flow_closing stands for the end. Who finds one there
// after a crash reads the tables if they have not moved on; if they have, the end
// is told without their content, and says so.

// closing is an epoch that has ended and is not told yet.
type closing struct {
	flow     string
	epoch    uint64
	position eventlog.Position // of the marker
	taken    uint64
	digest   string
	parked   uint64
}

// endEpoch ends the epoch of the checkpoint at a marker.
func (t *taking) endEpoch(ctx context.Context, at eventlog.Position) error {
	if isOwn(t.consumer.Flow) {
		return nil // nobody else is concerned
	}
	err := t.tx.Write(ctx, `INSERT INTO flow_closing (flow, epoch, commit_position, prepare_position, taken, digest, parked) VALUES (?,?,?,?,?,?,?)`,
		t.cp.flow, t.cp.epoch, at.Commit, at.Prepare, t.cp.taken, t.cp.digest.String(), t.cp.parked)
	if err != nil {
		return fmt.Errorf("end epoch %d: %w", t.cp.epoch, err)
	}
	return nil
}

// loadClosings returns the flow's epochs that are not told to have ended.
func (in *Intake) loadClosings(ctx context.Context) ([]closing, error) {
	name := in.consumer.Flow.Name
	rows, err := in.db.Query(ctx, `SELECT epoch, commit_position, prepare_position, taken, digest, parked FROM flow_closing WHERE flow = ? ORDER BY epoch`, name)
	if err == nil {
		all, err := projection.Collect(rows, func(row projection.Scanner, c *closing) error {
			c.flow = name
			return row.Scan(&c.epoch, &c.position.Commit, &c.position.Prepare, &c.taken, &c.digest, &c.parked)
		})
		if err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("look for epochs that have ended: %w", err)
}

// closeEpochs has the ends of epochs told, when a gate has closed. It returns when
// going on can't touch what they have come to.
func (in *Intake) closeEpochs(ctx context.Context) error {
	in.closing.Wait() // for those of before: their ends are told in order
	all, err := in.loadClosings(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		snapshot, missing, err := in.freeze(ctx, c.position)
		if err != nil {
			return fmt.Errorf("keep what epoch %d has come to: %w", c.epoch, err)
		}
		asked := in.ended.of(c.epoch)
		in.closing.Go(func() {
			ctx, span := in.beginWork(ctx, tracing.CloseEpoch, c.epoch, asked)
			defer func() { span.End(ctx.Err()) }()
			in.tellEnd(job.Named(ctx, fmt.Sprintf("end of epoch %d of %s", c.epoch, c.flow)), c, snapshot, missing)
		})
	}
	return nil
}

// freeze opens a snapshot of the tables as they are at a place in the log. When
// they have moved on, or there are none, it returns none, and why.
func (in *Intake) freeze(ctx context.Context, at eventlog.Position) (s *projection.Snapshot, missing string, err error) {
	if in.consumer.Project == nil {
		return nil, "", nil
	}
	s, err = in.db.Snapshot(ctx)
	if err != nil {
		return nil, "", err
	}
	cp, _, err := loadCheckpoint(ctx, s, in.consumer.Flow.Name)
	if err != nil {
		return nil, "", errors.Join(err, s.Close())
	}
	if cp.position != at {
		return nil, "the process ended before it could read the tables, and they have moved on", s.Close()
	}
	return s, "", nil
}

// tellEnd reads the snapshot, and has the end told. What fails is tried again
// until ctx ends; the snapshot itself can only be read once.
func (in *Intake) tellEnd(ctx context.Context, c closing, snapshot *projection.Snapshot, missing string) {
	closed := &flowv1.EpochClosed{
		Flow: c.flow, Epoch: c.epoch, Count: c.taken, IntakeDigest: c.digest, Position: wire(c.position), Parked: c.parked, ContentMissing: missing,
	}
	if snapshot != nil {
		content, err := in.consumer.Schema.Content(ctx, snapshot)
		err = errors.Join(err, snapshot.Close())
		if ctx.Err() != nil {
			return // whoever comes next finds the row
		}
		if err != nil {
			closed.ContentMissing = shorten(fmt.Errorf("the tables could not be read: %w", err))
		} else {
			closed.ContentDigest, closed.ContentRows, closed.ContentVersion = content.Digest.String(), content.Rows, uint64(in.consumer.Schema.Version) //nolint:gosec // versions count from 1
		}
	}
	wait := backoff.NewExponentialBackOff()
	for {
		err := in.postEnd(ctx, c, closed)
		if err == nil || ctx.Err() != nil {
			return
		}
		in.report(err)
		if !sleep(ctx, wait.NextBackOff()) {
			return
		}
	}
}

// postEnd posts the end, unless somebody else has.
func (in *Intake) postEnd(ctx context.Context, c closing, closed *flowv1.EpochClosed) error {
	err := in.db.Update(ctx, func(tx *projection.Tx) error {
		result, err := tx.Exec(ctx, `DELETE FROM flow_closing WHERE flow = ? AND epoch = ?`, c.flow, c.epoch)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return in.postControl(ctx, tx, flows.ControlStream(c.flow), fmt.Sprintf("epoch-closed:%d", c.epoch), closed)
	})
	if err != nil {
		return fmt.Errorf("tell the end of epoch %d: %w", c.epoch, err)
	}
	wake(in.posted)
	return nil
}
