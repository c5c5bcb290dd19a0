package customer

import (
	"context"
	"fmt"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the events that Project takes in.
var Types = []string{"sales.CustomerRegistered", "sales.ConsentChanged", "sales.OrderPlaced"}

// Tables hold customers and orders, to be listed and counted. Nothing personal
// stands in them: erasure destroys keys, and not rows.
var Tables = []string{
	`CREATE TABLE customer (
		customer_id TEXT PRIMARY KEY, customer_number TEXT NOT NULL, source TEXT NOT NULL, consent BIGINT NOT NULL,
		orders BIGINT NOT NULL, spent_cents BIGINT NOT NULL)`,
	`CREATE INDEX customer_source ON customer (source)`,
	`CREATE TABLE customer_order (
		order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, ordered_on TEXT NOT NULL, quantity BIGINT NOT NULL,
		amount_cents BIGINT NOT NULL, lead_id TEXT NOT NULL, source TEXT NOT NULL)`,
	`CREATE INDEX customer_order_source ON customer_order (source, amount_cents)`,
}

// Project keeps the tables.
func Project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	var err error
	switch e := event.Message.(type) {
	case *salesv1.CustomerRegistered:
		err = tx.Write(ctx, `INSERT INTO customer (customer_id, customer_number, source, consent, orders, spent_cents) VALUES (?,?,?,0,0,0)`,
			e.GetCustomerId(), e.GetCustomerNumber(), e.GetSource())
	case *salesv1.ConsentChanged:
		err = tx.Write(ctx, `UPDATE customer SET consent = ? WHERE customer_id = ?`, int32(e.GetConsent()), e.GetCustomerId())
	case *salesv1.OrderPlaced:
		err = projectOrder(ctx, tx, e)
	}
	if err != nil {
		return fmt.Errorf("customer: %w", err)
	}
	return nil
}

func projectOrder(ctx context.Context, tx *projection.Tx, e *salesv1.OrderPlaced) error {
	if err := tx.Write(ctx, `INSERT INTO customer_order (order_id, customer_id, ordered_on, quantity, amount_cents, lead_id, source) VALUES (?,?,?,?,?,?,?)`,
		e.GetOrderId(), e.GetCustomerId(), e.GetOrderedOn(), e.GetQuantity(), e.GetAmountCents(), e.GetLeadId(), e.GetSource()); err != nil {
		return err
	}
	err := tx.Write(ctx, `UPDATE customer SET orders = orders + 1, spent_cents = spent_cents + ? WHERE customer_id = ?`,
		e.GetAmountCents(), e.GetCustomerId())
	return err
}
