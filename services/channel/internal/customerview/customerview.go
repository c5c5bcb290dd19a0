// Package customerview is what the channel knows of customers, from the flow
// customer-view: the latest operational customer view, and which customer a
// contact belongs to.
//
//	CustomerRegistered, CustomerChanged ─▶ person  ┐
//	ConsentChanged ──────────────────────▶ consent ├─▶ Find
//	CustomerViewChanged ──────┬──────────▶ view    ┘
//	                          └─▶ person, unless a later one is known
//
// CRM tells the whole view in a step of its own, after the event that changes it,
// and that step may be late. So who the customer is, and whether they object, is
// taken from the event itself: whoever waits until the flow has passed a marker
// then knows what CRM had on record at the marker. Each view says which event it
// came of: what is known from a later one stands. The person stands by themselves,
// so that the rest of the view stays when they are erased.
package customerview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the views come over.
const Flow = "customer-view"

// Schema is the tables of the views. as_of is the place in the log of the event
// that a row rests on.
var Schema = projection.Schema{
	Name: "customer_view", Version: 2,
	Sealed: []projection.Sealed{{Table: "customer_view_person", Column: "body", Subject: "customer", Of: "customer_id"}},
	Tables: []string{
		`CREATE TABLE customer_view (customer_id TEXT PRIMARY KEY, body TEXT NOT NULL, as_of BIGINT NOT NULL)`,
		`CREATE TABLE customer_view_person (
			customer_id TEXT PRIMARY KEY, customer_number TEXT NOT NULL, body TEXT NOT NULL, as_of BIGINT NOT NULL)`,
		`CREATE TABLE customer_view_consent (customer_id TEXT PRIMARY KEY, consent INTEGER NOT NULL, as_of BIGINT NOT NULL)`,
		`CREATE TABLE customer_view_contact (contact_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL)`,
		`CREATE INDEX customer_view_contact_customer ON customer_view_contact (customer_id)`,
	},
}

// Project writes an event of the flow into the tables.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	about, ok := e.Message.(interface{ GetCustomerId() string })
	if !ok {
		return nil
	}
	if about.GetCustomerId() == "" {
		return flow.Unprocessable(errNobody)
	}
	switch m := e.Message.(type) {
	case *salesv1.ContactRegistered:
		return projectContact(ctx, tx, m)
	case *salesv1.CustomerViewChanged:
		if err := projectPerson(ctx, tx, e, m, e.Metadata.CausePosition); err != nil {
			return err
		}
		return projectView(ctx, tx, m, e.Metadata.CausePosition)
	case *salesv1.CustomerRegistered:
		return projectPerson(ctx, tx, e, m, e.Position)
	case *salesv1.CustomerChanged:
		return projectPerson(ctx, tx, e, m, e.Position)
	case *salesv1.ConsentChanged:
		return projectConsent(ctx, tx, m, e.Position)
	}
	return nil
}

var errNobody = errors.New("the event names no customer, or no contact")

func projectContact(ctx context.Context, tx *projection.Tx, m *salesv1.ContactRegistered) error {
	if m.GetContactId() == "" {
		return flow.Unprocessable(errNobody)
	}
	err := tx.Write(ctx, `INSERT INTO customer_view_contact (contact_id, customer_id) VALUES (?, ?)
		ON CONFLICT (contact_id) DO UPDATE SET customer_id = excluded.customer_id`, m.GetContactId(), m.GetCustomerId())
	if err != nil {
		return fmt.Errorf("write the customer of a contact: %w", err)
	}
	return nil
}

// projectView keeps the view, but for the person, as JSON of the API's message: the
// channel looks it up by the customer, and gives it away as it is.
func projectView(ctx context.Context, tx *projection.Tx, m *salesv1.CustomerViewChanged, asOf eventlog.Position) error {
	body, err := codec.Canonical(&channelv1.CustomerView{
		CustomerId: m.GetCustomerId(), CustomerNumber: m.GetCustomerNumber(), Consent: m.GetConsent(),
		OpenRequests: m.GetOpenRequests(), Orders: m.GetOrders(), SpentCents: m.GetSpentCents(),
	})
	if err != nil {
		return flow.Unprocessable(fmt.Errorf("write a customer view: %w", err))
	}
	err = tx.Write(ctx, `INSERT INTO customer_view (customer_id, body, as_of) VALUES (?, ?, ?)
		ON CONFLICT (customer_id) DO UPDATE SET body = excluded.body, as_of = excluded.as_of`,
		m.GetCustomerId(), string(body), asOf.Commit)
	if err != nil {
		return fmt.Errorf("write a customer view: %w", err)
	}
	return nil
}

// aPerson is an event that tells who a customer is.
type aPerson interface {
	GetCustomerId() string
	GetPerson() *journeyv1.Person
}

// projectPerson keeps who a customer is: nothing, once they are erased. What is told
// of them from then on holds nothing that was sealed, and looks like any other event.
func projectPerson(ctx context.Context, tx *projection.Tx, e codec.Event, m aPerson, asOf eventlog.Position) (err error) {
	var body []byte
	if !e.Erased && !isNobody(m.GetPerson()) {
		if body, err = codec.Canonical(m.GetPerson()); err != nil {
			return flow.Unprocessable(fmt.Errorf("write who a customer is: %w", err))
		}
	}
	number := ""
	if numbered, ok := m.(interface{ GetCustomerNumber() string }); ok {
		number = numbered.GetCustomerNumber()
	}
	err = tx.Write(ctx, `INSERT INTO customer_view_person (customer_id, customer_number, body, as_of) VALUES (?, ?, ?, ?)
		ON CONFLICT (customer_id) DO UPDATE SET body = excluded.body, as_of = excluded.as_of
			WHERE customer_view_person.as_of <= excluded.as_of`,
		m.GetCustomerId(), number, string(body), asOf.Commit)
	if err != nil {
		return fmt.Errorf("write who a customer is: %w", err)
	}
	return nil
}

// isNobody tells whether nothing is told of a person.
func isNobody(p *journeyv1.Person) bool {
	told := proto.CloneOf(p)
	if told != nil && proto.Size(told.GetAddress()) == 0 {
		told.Address = nil
	}
	return proto.Size(told) == 0
}

func projectConsent(ctx context.Context, tx *projection.Tx, m *salesv1.ConsentChanged, asOf eventlog.Position) error {
	err := tx.Write(ctx, `INSERT INTO customer_view_consent (customer_id, consent, as_of) VALUES (?, ?, ?)
		ON CONFLICT (customer_id) DO UPDATE SET consent = excluded.consent, as_of = excluded.as_of`,
		m.GetCustomerId(), int32(m.GetConsent()), asOf.Commit)
	if err != nil {
		return fmt.Errorf("write whether a customer objects: %w", err)
	}
	return nil
}

// Find returns the view of a customer, without the person once they are erased; nil
// when the channel knows nobody of the id.
func Find(ctx context.Context, q projection.Querier, customerID string) (*channelv1.CustomerView, error) {
	var told, person, number string
	var asOf, consentAsOf uint64
	var consent journeyv1.Consent
	err := q.QueryRow(ctx, `SELECT p.customer_number, p.body, coalesce(v.body, ''), coalesce(v.as_of, 0), coalesce(c.consent, 0), coalesce(c.as_of, 0)
		FROM customer_view_person AS p
			LEFT JOIN customer_view AS v ON v.customer_id = p.customer_id
			LEFT JOIN customer_view_consent AS c ON c.customer_id = p.customer_id
		WHERE p.customer_id = ?`, customerID,
	).Scan(&number, &person, &told, &asOf, &consent, &consentAsOf)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look a customer view up: %w", err)
	}
	view := &channelv1.CustomerView{CustomerId: customerID, CustomerNumber: number}
	if told != "" {
		view = &channelv1.CustomerView{}
		if err := unmarshal(told, view); err != nil {
			return nil, err
		}
	}
	if person != "" {
		view.Person = &journeyv1.Person{}
		if err := unmarshal(person, view.GetPerson()); err != nil {
			return nil, err
		}
	}
	if consentAsOf > asOf {
		view.Consent = consent
	}
	return view, nil
}

// CustomerOf returns the customer that CRM found a contact to be of, last; empty when
// it has found none.
func CustomerOf(ctx context.Context, q projection.Querier, contactID string) (customer string, err error) {
	err = q.QueryRow(ctx, `SELECT customer_id FROM customer_view_contact WHERE contact_id = ?`, contactID).Scan(&customer)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look up whose a contact is: %w", err)
	}
	return customer, nil
}

// Contacts returns the contacts that CRM found to be a customer's.
var Contacts = erasure.ContactsIn("customer_view_contact")

func unmarshal(body string, into proto.Message) error {
	if err := codec.ReadCanonical([]byte(body), into); err != nil {
		return fmt.Errorf("read a customer view: %w", err)
	}
	return nil
}

// Await waits, within the budget, until the view of a contact's customer is
// there, and tells whether it came.
func Await(ctx context.Context, db *projection.DB, contactID string, budget time.Duration) (came bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	came, err = db.Await(waiting, func(ctx context.Context, q projection.Querier) (there bool, err error) {
		err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM customer_view_contact AS c JOIN customer_view AS v
			ON v.customer_id = c.customer_id WHERE c.contact_id = ?)`, contactID).Scan(&there)
		return there, err
	})
	if err != nil {
		return false, fmt.Errorf("wait for the customer of a contact: %w", err)
	}
	return came, nil
}
