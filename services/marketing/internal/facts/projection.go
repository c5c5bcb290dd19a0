// Package facts keeps what marketing knows of customers from CRM: what they
// bought, and whether they may be approached. It is as old as the flow
// customer-facts.
package facts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the tables follow.
const Flow = "customer-facts"

// Schema is the tables of the flow.
var Schema = projection.Schema{Name: "facts", Version: 1, Tables: []string{
	`CREATE TABLE facts_customer (
		customer_id TEXT PRIMARY KEY, orders BIGINT NOT NULL, spent_cents BIGINT NOT NULL, consent BIGINT NOT NULL)`,
	`CREATE INDEX facts_customer_spent ON facts_customer (spent_cents, customer_id)`,
}}

// Project keeps a customer's sums. An order is counted once because the flow
// takes each event in once.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	statement, args := change(e.Message)
	if statement == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("write the facts of a customer: %w", err)
	}
	return nil
}

const (
	register = `INSERT INTO facts_customer (customer_id, orders, spent_cents, consent) VALUES (?, 0, 0, 0)
		ON CONFLICT (customer_id) DO NOTHING`
	count = `INSERT INTO facts_customer (customer_id, orders, spent_cents, consent) VALUES (?, 1, ?, 0)
		ON CONFLICT (customer_id) DO UPDATE SET
			orders = facts_customer.orders + 1, spent_cents = facts_customer.spent_cents + excluded.spent_cents`
	consent = `INSERT INTO facts_customer (customer_id, orders, spent_cents, consent) VALUES (?, 0, 0, ?)
		ON CONFLICT (customer_id) DO UPDATE SET consent = excluded.consent`
)

// change is the statement that an event comes to; empty when it comes to none.
func change(event proto.Message) (statement string, args []any) {
	switch m := event.(type) {
	case *salesv1.CustomerRegistered:
		return register, []any{m.GetCustomerId()}
	case *salesv1.CustomerChanged:
		return register, []any{m.GetCustomerId()}
	case *salesv1.OrderPlaced:
		return count, []any{m.GetCustomerId(), m.GetAmountCents()}
	case *salesv1.ConsentChanged:
		return consent, []any{m.GetCustomerId(), int32(m.GetConsent())}
	default:
		return changeNext(event)
	}
}

// changeNext is the statement that an event comes to which this build does not
// know. A newer build, which tests roll out beside this one, puts one of its own in
// its place.
var changeNext = func(proto.Message) (statement string, args []any) { return "", nil }

// Customer is what marketing knows of a customer from CRM. The zero Customer is
// of one that CRM has told nothing of yet.
type Customer struct {
	Known      bool
	Orders     uint32
	SpentCents int64
	Consent    journeyv1.Consent
}

// Of returns the facts of a customer.
func Of(ctx context.Context, q projection.Querier, customer string) (Customer, error) {
	var c Customer
	err := q.QueryRow(ctx, `SELECT orders, spent_cents, consent FROM facts_customer WHERE customer_id = ?`, customer).
		Scan(&c.Orders, &c.SpentCents, &c.Consent)
	if errors.Is(err, sql.ErrNoRows) {
		return Customer{}, nil
	}
	if err != nil {
		return Customer{}, fmt.Errorf("read the facts of a customer: %w", err)
	}
	c.Known = true
	return c, nil
}
