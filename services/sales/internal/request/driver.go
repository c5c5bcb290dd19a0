package request

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/telemetry"
)

// Driver hands requests that are in progress to the back office, each until it
// is answered. Its Round is a worker's.
type Driver struct {
	Streams    *decider.Streams
	DB         *projection.DB
	BackOffice *backoffice.Client
	// Now is the clock.
	Now func() time.Time

	// These belong to Round, which runs in one goroutine.
	recorded map[string]bool       // answers that the table does not show yet
	refused  map[string]*postponed // requests that the back office does not take
}

// postponed is a request that is tried again later, while others go on.
type postponed struct {
	pause *backoff.ExponentialBackOff
	next  time.Time
	err   error
}

// The pauses between two tries of a request that the back office refuses.
const (
	firstRetry   = time.Second
	longestRetry = 5 * time.Minute
)

// perRound bounds a round. The table shows what was done in it, then comes the
// next one.
const perRound = 100

// Round drives what waits. It ends at once when the back office is away: asking
// for each request would only take long.
func (d *Driver) Round(ctx context.Context) (again time.Time, err error) {
	waiting, err := d.waiting(ctx)
	if err != nil {
		return time.Time{}, err
	}
	d.forget(waiting)
	var refusals error
	for _, id := range waiting {
		if later := d.refused[id]; d.recorded[id] || later != nil && d.Now().Before(later.next) {
			continue
		}
		err := d.drive(ctx, id)
		_, refused := errors.AsType[backoffice.Refusal](err)
		switch {
		case err == nil:
			d.recorded[id] = true
			delete(d.refused, id)
		case refused:
			d.postpone(id, err)
		default:
			return time.Time{}, err
		}
	}
	for _, later := range d.refused {
		refusals = later.err
		if again.IsZero() || later.next.Before(again) {
			again = later.next
		}
	}
	return again, refusals
}

func (d *Driver) waiting(ctx context.Context) ([]string, error) {
	rows, err := d.DB.Query(ctx, `SELECT request_id FROM request WHERE status = ? AND with_back_office = 0 ORDER BY seq LIMIT ?`,
		int32(statusInProgress), perRound+len(d.refused)+len(d.recorded))
	if err != nil {
		return nil, fmt.Errorf("look for requests in progress: %w", err)
	}
	return projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
}

// forget drops what is known of requests that wait no longer.
func (d *Driver) forget(waiting []string) {
	recorded, refused := map[string]bool{}, map[string]*postponed{}
	for _, id := range waiting {
		if d.recorded[id] {
			recorded[id] = true
		}
		if later := d.refused[id]; later != nil {
			refused[id] = later
		}
	}
	d.recorded, d.refused = recorded, refused
}

func (d *Driver) postpone(id string, err error) {
	later := d.refused[id]
	if later == nil {
		later = &postponed{pause: backoff.NewExponentialBackOff()}
		later.pause.InitialInterval, later.pause.MaxInterval = firstRetry, longestRetry
		d.refused[id] = later
	}
	later.next, later.err = d.Now().Add(later.pause.NextBackOff()), fmt.Errorf("request %s: %w", id, err)
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
	answer, err := d.ask(ctx, backoffice.Request{ID: id, Kind: state.Opened.GetKind(), Text: state.Opened.GetText()})
	if err != nil {
		return err
	}
	origin := decider.CauseOrigin(flows.Sales, "drive-request", cause, d.Now().UTC())
	command := RecordAnswer{RequestID: id, Done: answer.Done, Reference: answer.Reference}
	_, err = decider.Handle(ctx, d.Streams, origin, Stream(id), Decider, command.Decide)
	return err
}

// deadline bounds one try. No visitor waits for it.
const deadline = 10 * time.Second

func (d *Driver) ask(ctx context.Context, request backoffice.Request) (backoffice.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return d.BackOffice.Ask(ctx, request)
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
