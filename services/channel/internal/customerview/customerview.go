// Package customerview is what the channel knows of customers: the latest
// operational customer view that CRM sent over the flow customer-view, and which
// customer a contact belongs to.
package customerview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the views come over.
const Flow = "customer-view"

// Schema is the tables of the views.
var Schema = projection.Schema{Name: "customer_view", Version: 1, Personal: []string{"customer_view.body"}, Tables: []string{
	`CREATE TABLE customer_view (customer_id TEXT PRIMARY KEY, customer_number TEXT NOT NULL, body TEXT NOT NULL)`,
	`CREATE TABLE customer_view_contact (contact_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL)`,
}}

// Project writes an event of the flow into the tables.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	switch m := e.Message.(type) {
	case *salesv1.ContactRegistered:
		return projectContact(ctx, tx, m)
	case *salesv1.CustomerViewChanged:
		return projectView(ctx, tx, m)
	}
	return nil
}

var errNobody = errors.New("the event names no customer")

func projectContact(ctx context.Context, tx *projection.Tx, m *salesv1.ContactRegistered) error {
	if m.GetCustomerId() == "" || m.GetContactId() == "" {
		return flow.Unprocessable(errNobody)
	}
	err := tx.Write(ctx, `INSERT INTO customer_view_contact (contact_id, customer_id) VALUES (?, ?)
		ON CONFLICT (contact_id) DO UPDATE SET customer_id = excluded.customer_id`, m.GetContactId(), m.GetCustomerId())
	if err != nil {
		return fmt.Errorf("write the customer of a contact: %w", err)
	}
	return nil
}

// projectView keeps the whole view as JSON of the API's message: the channel
// looks it up by the customer, and gives it away as it is.
func projectView(ctx context.Context, tx *projection.Tx, m *salesv1.CustomerViewChanged) error {
	if m.GetCustomerId() == "" {
		return flow.Unprocessable(errNobody)
	}
	body, err := codec.Canonical(&channelv1.CustomerView{
		CustomerId: m.GetCustomerId(), CustomerNumber: m.GetCustomerNumber(), Person: m.GetPerson(), Consent: m.GetConsent(),
		OpenRequests: m.GetOpenRequests(), Orders: m.GetOrders(), SpentCents: m.GetSpentCents(),
	})
	if err != nil {
		return flow.Unprocessable(fmt.Errorf("write a customer view: %w", err))
	}
	err = tx.Write(ctx, `INSERT INTO customer_view (customer_id, customer_number, body) VALUES (?, ?, ?)
		ON CONFLICT (customer_id) DO UPDATE SET customer_number = excluded.customer_number, body = excluded.body`,
		m.GetCustomerId(), m.GetCustomerNumber(), string(body))
	if err != nil {
		return fmt.Errorf("write a customer view: %w", err)
	}
	return nil
}

// Find returns the view of a customer; nil when the channel has none.
func Find(ctx context.Context, q projection.Querier, customerID string) (*channelv1.CustomerView, error) {
	var body string
	err := q.QueryRow(ctx, `SELECT body FROM customer_view WHERE customer_id = ?`, customerID).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look a customer view up: %w", err)
	}
	view := &channelv1.CustomerView{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(body), view); err != nil {
		return nil, fmt.Errorf("read a customer view: %w", err)
	}
	return view, nil
}

// Await waits, within the budget, until the view of a contact's customer is
// there.
func Await(ctx context.Context, db *projection.DB, contactID string, budget time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	_, err := db.Await(waiting, func(ctx context.Context, q projection.Querier) (there bool, err error) {
		err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM customer_view_contact AS c JOIN customer_view AS v
			ON v.customer_id = c.customer_id WHERE c.contact_id = ?)`, contactID).Scan(&there)
		return there, err
	})
	if err != nil {
		return fmt.Errorf("wait for the customer of a contact: %w", err)
	}
	return nil
}
