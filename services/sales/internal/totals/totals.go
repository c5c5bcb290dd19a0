// Package totals counts what CRM knows.
package totals

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/deadline"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Totals is the API's call that counts.
type Totals struct {
	DB  *projection.DB
	Log eventlog.Log
	// Types are the events that the counts rest on.
	Types []string
	// Position is how far the tables have come.
	Position func() eventlog.Position
	// Now is the clock.
	Now func() time.Time

	mu sync.Mutex
	// checked is a place up to which no event waits that the tables lack.
	checked eventlog.Position
}

// GetTotals counts customers, orders, requests and leads.
func (t *Totals) GetTotals(ctx context.Context, req *salesv1.GetTotalsRequest) (*salesv1.GetTotalsResponse, error) {
	var checks call.Checks
	source := checks.Optional("source", req.GetSource())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	asOf, err := t.asOf(ctx) // before counting: what is counted is there by then
	if err != nil {
		return nil, err
	}
	totals := &salesv1.GetTotalsResponse{AsOf: timestamppb.New(asOf)}
	// One statement sees one state of the tables.
	err = t.DB.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM customer WHERE ? = '' OR source = ?),
			(SELECT count(*) FROM customer_order WHERE ? = '' OR source = ?),
			(SELECT coalesce(sum(amount_cents), 0) FROM customer_order WHERE ? = '' OR source = ?),
			(SELECT count(*) FROM request), (SELECT count(*) FROM lead)`,
		source, source, source, source, source, source).
		Scan(&totals.Customers, &totals.Orders, &totals.SpentCents, &totals.Requests, &totals.Leads)
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	return totals, nil
}

// asOf is up to when the tables hold everything: now, when the store has no event
// of ours behind the tables' position, else the time of the first one that it
// has. The tables' own word would not do: an event that was just written may not
// have been announced to them yet.
func (t *Totals) asOf(ctx context.Context) (time.Time, error) {
	now := t.Now().UTC()
	position := t.Position()
	end, waits, err := t.look(ctx, position)
	if err != nil {
		return time.Time{}, err
	}
	if !waits {
		t.check(end)
		return now, nil
	}
	return t.firstAfter(ctx, position, now)
}

// page bounds one read of the store: what is looked for is mostly near.
const page = 64

// look goes back from the end of the log, as far as nobody knows, for an event
// that waits.
func (t *Totals) look(ctx context.Context, position eventlog.Position) (end eventlog.Position, waits bool, err error) {
	known := t.known(position)
	var before *eventlog.Position
	for {
		last, found := before, false
		for e, err := range t.Log.ReadAll(ctx, eventlog.Backward, before, page) {
			if err != nil {
				return end, false, fmt.Errorf("look for the last event: %w", err)
			}
			if end == (eventlog.Position{}) {
				end = e.Position
			}
			if e.Position.Compare(known) <= 0 {
				return end, false, nil
			}
			if slices.Contains(t.Types, e.Type) {
				return end, true, nil
			}
			last, found = &e.Position, true
		}
		if !found {
			return end, false, nil
		}
		before = last
	}
}

// known is the place up to which nothing needs to be looked at.
func (t *Totals) known(position eventlog.Position) eventlog.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.checked.Compare(position) > 0 {
		return t.checked
	}
	return position
}

func (t *Totals) check(end eventlog.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.checked.Compare(end) < 0 {
		t.checked = end
	}
}

// firstAfter is when the first event was written that the tables lack, and no
// later than now.
func (t *Totals) firstAfter(ctx context.Context, position eventlog.Position, now time.Time) (time.Time, error) {
	for {
		from := position
		for e, err := range t.Log.ReadAll(ctx, eventlog.Forward, &from, page) {
			switch {
			case err != nil:
				return now, fmt.Errorf("look for the first event that waits: %w", err)
			case e.Position.Compare(position) <= 0:
				continue
			case slices.Contains(t.Types, e.Type):
				return deadline.Earlier(e.Created, now), nil
			}
			position = e.Position
		}
		if position == from {
			return now, nil
		}
	}
}
