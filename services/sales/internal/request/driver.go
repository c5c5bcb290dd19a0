package request

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
	"github.com/triangle-suite/triangle/services/internal/worker"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Driver hands requests that are in progress to the back office, each until it
// is answered. Its Partner is a worker's.
type Driver struct {
	Streams    *decider.Streams
	DB         *projection.DB
	BackOffice *backoffice.Client
	// Now is the clock.
	Now func() time.Time
}

// How the back office is asked. No visitor waits for it, and it knows a request
// again by its id: so it may be asked as often as it takes.
const (
	deadline  = 10 * time.Second
	retries   = 2
	perSecond = 50
)

// perRound bounds a round. The table shows what was done in it, then comes the
// next one.
const perRound = 100

// Partner is the back office, with the requests that wait for it.
func (d *Driver) Partner() worker.Partner {
	return worker.Partner{
		Name: backoffice.Partner, Look: d.look, Do: d.drive,
		Refused: func(err error) bool {
			_, refused := errors.AsType[backoffice.Refusal](err)
			return refused
		},
		Broken:  codec.IsFault,
		Timeout: deadline, Retries: retries, PerSecond: perSecond,
	}
}

// look returns the requests that wait. Only a change brings more.
func (d *Driver) look(ctx context.Context, passedOver int) (ids []string, again time.Time, err error) {
	rows, err := d.DB.Query(ctx, `SELECT request_id FROM request WHERE status = ? AND with_back_office = 0 ORDER BY seq, request_id LIMIT ?`,
		int32(statusInProgress), perRound+passedOver)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("look for requests in progress: %w", err)
	}
	ids, err = projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	return ids, time.Time{}, err
}

// drive hands one request over and records the answer. Should the process die in
// between, the back office is asked again under the same key, and the first
// answer that was recorded stands.
func (d *Driver) drive(ctx context.Context, id string) error {
	state, cause, err := d.load(ctx, id)
	if err != nil || !state.waits() {
		return err
	}
	ctx = telemetry.Extract(ctx, cause.Metadata.TraceParent, cause.Metadata.TraceState)
	asking, span := d.Streams.Tracer.Ask(ctx, backoffice.Partner, id, tracing.Origin{})
	answer, err := d.BackOffice.Ask(asking, backoffice.Request{ID: id, Kind: state.Opened.GetKind(), Text: state.Opened.GetText()})
	span.End(err)
	if err != nil {
		return err
	}
	origin := decider.CauseOrigin(flows.Sales, "drive-request", cause, d.Now().UTC())
	command := RecordAnswer{RequestID: id, Done: answer.Done, Reference: answer.Reference}
	_, err = decider.Handle(ctx, d.Streams, origin, Stream(id), Decider, command.Decide)
	return err
}

// load folds a request, and finds the event by which it came into progress.
func (d *Driver) load(ctx context.Context, id string) (state State, cause codec.Event, err error) {
	for raw, err := range d.Streams.Log.ReadStream(ctx, Stream(id), eventlog.Forward, 0, 0) {
		if err != nil {
			return state, cause, fmt.Errorf("read request %s: %w", id, err)
		}
		event, err := d.Streams.Codec.Decode(ctx, raw)
		if err != nil {
			return state, cause, err
		}
		if state = evolve(state, event.Message); state.waits() {
			cause = event
		}
	}
	return state, cause, nil
}
