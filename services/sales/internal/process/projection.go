package process

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Tables hold a row for each step that an instance has come to: when, by the
// store's clock, and where it went from there after how long, in nanoseconds. Each
// instance has one row that it has not left: where it stands, or has ended.
var Tables = []string{
	`CREATE TABLE process_step (
		process TEXT NOT NULL, instance TEXT NOT NULL, place BIGINT NOT NULL, step TEXT NOT NULL, entered_at BIGINT NOT NULL,
		next TEXT NOT NULL, took BIGINT NOT NULL, PRIMARY KEY (process, instance, place))`,
	`CREATE INDEX process_step_next ON process_step (process, step, next, took)`,
	`CREATE INDEX process_step_took ON process_step (process, step, took, entered_at)`,
}

// notLeft is what took holds of a step that an instance has not left.
const notLeft = -1

// leadSteps are the steps of a lead's statuses.
var leadSteps = map[salesv1.LeadStatus]string{
	salesv1.LeadStatus_LEAD_STATUS_SENT:      leadSent,
	salesv1.LeadStatus_LEAD_STATUS_FAILED:    leadFailed,
	salesv1.LeadStatus_LEAD_STATUS_CLOSED:    leadClosed,
	salesv1.LeadStatus_LEAD_STATUS_CONVERTED: leadConverted,
	salesv1.LeadStatus_LEAD_STATUS_EXPIRED:   leadExpired,
	salesv1.LeadStatus_LEAD_STATUS_WITHDRAWN: leadWithdrawn,
}

// Project keeps the tables.
func Project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	t := table{tx}
	var err error
	switch e := event.Message.(type) {
	case *salesv1.RequestOpened:
		p := Of(e.GetKind())
		err = t.enter(ctx, p, e.GetRequestId(), p.Steps[0].Name, happened(e.GetHappenedAt(), event))
	case *salesv1.RequestStatusChanged:
		err = t.enterRequest(ctx, e, happened(e.GetHappenedAt(), event))
	case *salesv1.LeadAccepted:
		err = t.enter(ctx, lead, e.GetLeadId(), leadIssued, happened(e.GetIssuedAt(), event))
		if err == nil {
			err = t.enter(ctx, lead, e.GetLeadId(), leadAccepted, event.Created)
		}
	case *salesv1.DispatchOrdered:
		err = t.enter(ctx, lead, e.GetLeadId(), leadDispatched, event.Created)
	case *salesv1.LeadStatusChanged:
		err = t.enterLead(ctx, e, happened(e.GetHappenedAt(), event))
	case *salesv1.OrderPlaced:
		err = t.enterOrder(ctx, e, event.Created)
	case *salesv1.LeadTransacted:
		err = t.closeSale(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("process: %w", err)
	}
	return nil
}

// happened is when a step was taken: where it was taken, as far as the event tells
// that, else when it was told of.
func happened(at *timestamppb.Timestamp, event codec.Event) time.Time {
	if at == nil {
		return event.Created
	}
	return at.AsTime()
}

type table struct{ tx *projection.Tx }

// enterRequest follows a request. Its events did not always name steps: then the
// second time that it is in progress is the back office's.
func (t table) enterRequest(ctx context.Context, e *salesv1.RequestStatusChanged, at time.Time) error {
	p := Of(e.GetKind())
	if e.GetStep() != "" {
		return t.enter(ctx, p, e.GetRequestId(), e.GetStep(), at)
	}
	times := 1
	if e.GetStatus() == inProgress {
		now, err := t.last(ctx, p, e.GetRequestId())
		if err != nil {
			return err
		}
		if now.place >= 0 && p.Steps[now.place].Status == inProgress {
			times = 2
		}
	}
	return t.enter(ctx, p, e.GetRequestId(), p.At(e.GetStatus(), times), at)
}

// enterLead follows a lead, and the sale that it is once it has converted.
func (t table) enterLead(ctx context.Context, e *salesv1.LeadStatusChanged, at time.Time) error {
	if err := t.enter(ctx, lead, e.GetLeadId(), leadSteps[e.GetStatus()], at); err != nil {
		return err
	}
	if e.GetStatus() != salesv1.LeadStatus_LEAD_STATUS_CONVERTED {
		return nil
	}
	return t.enter(ctx, sale, e.GetLeadId(), saleAgreed, at)
}

// enterOrder notes a sale that no lead is known to have led to. One that a lead led
// to follows when the lead does.
func (t table) enterOrder(ctx context.Context, e *salesv1.OrderPlaced, at time.Time) error {
	if e.GetLeadId() != "" {
		return nil
	}
	return t.insert(ctx, sale, e.GetOrderId(), sale.Place(saleClosed), at)
}

// closeSale follows a lead's sale to its transaction. A further transaction of a
// lead is a sale of its own; an order was one until its lead was known.
func (t table) closeSale(ctx context.Context, e *salesv1.LeadTransacted) error {
	transaction := e.GetTransaction()
	at := transaction.GetHappenedAt().AsTime()
	if transaction.GetOrderId() != "" {
		if err := t.tx.Write(ctx, `DELETE FROM process_step WHERE process = ? AND instance = ?`, sale.Name, transaction.GetOrderId()); err != nil {
			return err
		}
	}
	now, err := t.last(ctx, sale, e.GetLeadId())
	if err != nil {
		return err
	}
	if now.place == sale.Place(saleClosed) {
		further := e.GetLeadId() + "/" + transaction.GetOrderId() + transaction.GetRequestId()
		return t.insert(ctx, sale, further, now.place, at)
	}
	return t.enter(ctx, sale, e.GetLeadId(), saleClosed, at)
}

// standing is the last step that an instance has come to; its place is -1 where it
// has come to none.
type standing struct {
	place   int
	entered int64
}

func (t table) last(ctx context.Context, p Process, instance string) (standing, error) {
	s := standing{place: -1}
	err := t.tx.QueryRow(ctx, `SELECT place, entered_at FROM process_step WHERE process = ? AND instance = ? ORDER BY place DESC LIMIT 1`,
		p.Name, instance).Scan(&s.place, &s.entered)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, err
	}
	return s, nil
}

// enter takes an instance to a step, unless it is there or further. A step that
// the process does not have is none: a later build may tell of one.
func (t table) enter(ctx context.Context, p Process, instance, step string, at time.Time) error {
	place := p.Place(step)
	now, err := t.last(ctx, p, instance)
	if err != nil || place <= now.place {
		return err
	}
	if now.place >= 0 {
		// Clocks may differ where steps were taken: nothing takes less than no time.
		took := max(0, at.UnixNano()-now.entered)
		err := t.tx.Write(ctx, `UPDATE process_step SET next = ?, took = ? WHERE process = ? AND instance = ? AND place = ?`,
			step, took, p.Name, instance, now.place)
		if err != nil {
			return err
		}
	}
	return t.insert(ctx, p, instance, place, at)
}

func (t table) insert(ctx context.Context, p Process, instance string, place int, at time.Time) error {
	return t.tx.Write(ctx, `INSERT INTO process_step (process, instance, place, step, entered_at, next, took) VALUES (?,?,?,?,?,'',?)`,
		p.Name, instance, place, p.Steps[place].Name, at.UnixNano(), notLeft)
}
