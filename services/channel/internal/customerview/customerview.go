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

// Schema is the tables of the views. The view without the person stands beside the
// whole one: it is what is left of it when they are erased.
var Schema = projection.Schema{
	Name: "customer_view", Version: 2,
	Sealed: []projection.Sealed{{Table: "customer_view", Column: "body", Subject: "customer", Of: "customer_id"}},
	Tables: []string{
		`CREATE TABLE customer_view (customer_id TEXT PRIMARY KEY, customer_number TEXT NOT NULL, body TEXT NOT NULL, bare TEXT NOT NULL)`,
		`CREATE TABLE customer_view_contact (contact_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL)`,
		`CREATE INDEX customer_view_contact_customer ON customer_view_contact (customer_id)`,
	},
}

// Project writes an event of the flow into the tables.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	switch m := e.Message.(type) {
	case *salesv1.ContactRegistered:
		return projectContact(ctx, tx, m)
	case *salesv1.CustomerViewChanged:
		return projectView(ctx, tx, m, e.Erased)
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
func projectView(ctx context.Context, tx *projection.Tx, m *salesv1.CustomerViewChanged, erased bool) error {
	if m.GetCustomerId() == "" {
		return flow.Unprocessable(errNobody)
	}
	view := &channelv1.CustomerView{
		CustomerId: m.GetCustomerId(), CustomerNumber: m.GetCustomerNumber(), Consent: m.GetConsent(),
		OpenRequests: m.GetOpenRequests(), Orders: m.GetOrders(), SpentCents: m.GetSpentCents(),
	}
	bare, err := codec.Canonical(view)
	var body []byte
	if err == nil && !erased {
		view.Person = m.GetPerson()
		body, err = codec.Canonical(view)
	}
	if err != nil {
		return flow.Unprocessable(fmt.Errorf("write a customer view: %w", err))
	}
	err = tx.Write(ctx, `INSERT INTO customer_view (customer_id, customer_number, body, bare) VALUES (?, ?, ?, ?)
		ON CONFLICT (customer_id) DO UPDATE SET customer_number = excluded.customer_number, body = excluded.body, bare = excluded.bare`,
		m.GetCustomerId(), m.GetCustomerNumber(), string(body), string(bare))
	if err != nil {
		return fmt.Errorf("write a customer view: %w", err)
	}
	return nil
}

// Find returns the view of a customer, without the person once they are erased; nil
// when the channel has none.
func Find(ctx context.Context, q projection.Querier, customerID string) (*channelv1.CustomerView, error) {
	var body string
	err := q.QueryRow(ctx, `SELECT CASE body WHEN '' THEN bare ELSE body END FROM customer_view WHERE customer_id = ?`, customerID).Scan(&body)
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

// Contacts returns the contacts that CRM found to be a customer's.
func Contacts(ctx context.Context, q projection.Querier, customerID string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT contact_id FROM customer_view_contact WHERE customer_id = ?`, customerID)
	if err != nil {
		return nil, err
	}
	return projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
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
