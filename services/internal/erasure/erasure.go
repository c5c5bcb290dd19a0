// Package erasure takes a person out of a service: their keys out of the key ring,
// and out of the service's tables what those had sealed.
//
//	sales.CustomerErased ──▶ own feed, always in real time ──▶ table erasure ─┐
//	                                                                          ▼
//	               columns that are declared sealed are emptied ◀── keys are destroyed
//
// The event is in the log, so a service that is down when a person is erased does
// it when it is back, and one whose database comes from a backup does it again: all
// erasures are gone through at each start, and every ten minutes for what has come
// late, such as a contact of theirs over a weekly flow. No table has code of its own
// for it: a projection.Schema says which columns are sealed, and with whose key.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/worker"
)

// The kinds of subjects whose keys seal what is known of a person.
const (
	Customer = "customer"
	Contact  = "contact"
)

var schema = projection.Schema{Name: "erasure", Version: 1, Tables: []string{
	`CREATE TABLE erasure (customer_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, by_whom TEXT NOT NULL, reason TEXT NOT NULL)`,
	`CREATE INDEX erasure_seq ON erasure (seq)`,
}}

// Consumer is how a service hears who is to be forgotten. It is a feed of each
// service's own, and no flow of the catalogue: no cadence holds it up.
func Consumer(service flows.Service) flow.Consumer {
	own := flow.Own(service, []string{"sales.CustomerErased"}, []string{"customer_id"})
	own.Name += "-erasures"
	own.Rationale = "Every service forgets a person at once."
	return flow.Consumer{Flow: own, Schema: schema, Project: project}
}

func project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*salesv1.CustomerErased)
	if !ok {
		return nil
	}
	err := tx.Write(ctx, `INSERT INTO erasure (customer_id, seq, by_whom, reason) VALUES (?, ?, ?, ?) ON CONFLICT (customer_id) DO NOTHING`,
		m.GetCustomerId(), e.Position.Commit, m.GetBy(), m.GetReason())
	if err != nil {
		return fmt.Errorf("note who is to be forgotten: %w", err)
	}
	return nil
}

// Knows tells whether a service has heard that a customer is to be forgotten.
func Knows(ctx context.Context, q projection.Querier, customerID string) (erased bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM erasure WHERE customer_id = ?)`, customerID).Scan(&erased)
	if err != nil {
		return false, fmt.Errorf("look whether a customer is to be forgotten: %w", err)
	}
	return erased, nil
}

// Destroy destroys a subject's key. Of one who never had a key it leaves a
// tombstone as well, so that there will be none.
func Destroy(ctx context.Context, ring keyring.Ring, kind, id string, why keyring.Erasure) error {
	subject := codec.KeyName(kind, id)
	if _, err := ring.Key(ctx, subject); err != nil && !errors.Is(err, keyring.ErrDestroyed) {
		return fmt.Errorf("look up the key of %s: %w", subject, err)
	}
	_, err := backoff.Retry(ctx, func() (done struct{}, err error) {
		return done, ring.Destroy(ctx, subject, why)
	}, backoff.WithMaxElapsedTime(patience))
	return err
}

// patience is for how long it is tried again to destroy a key: a file can't be
// scrubbed in the moment in which another process reads it.
const patience = 5 * time.Second

// Eraser forgets, in one service, who was erased.
type Eraser struct {
	DB    *projection.DB
	Ring  keyring.Ring
	Flows *flow.Runtime
	// Contacts returns the contacts that the service knows to be a customer's. Nil:
	// it knows none.
	Contacts func(ctx context.Context, q projection.Querier, customerID string) ([]string, error)
}

// ContactsIn looks contacts up in a table that says whose each is.
func ContactsIn(table string) func(context.Context, projection.Querier, string) ([]string, error) {
	return func(ctx context.Context, q projection.Querier, customerID string) ([]string, error) {
		rows, err := q.Query(ctx, `SELECT DISTINCT contact_id FROM `+table+` WHERE customer_id = ? AND contact_id <> ''`, customerID)
		if err != nil {
			return nil, err
		}
		return projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	}
}

// Worker forgets them for as long as it runs.
func (e Eraser) Worker(logger *slog.Logger) *worker.Worker {
	return &worker.Worker{Name: "eraser", Logger: logger, Work: func(ctx context.Context, tell worker.Tell) error {
		return worker.Rounds(e.DB, (&rounds{Eraser: e}).round)(ctx, tell)
	}}
}

// anew is how often all erasures are gone through again.
const anew = 10 * time.Minute

// rounds are those of one worker's life.
type rounds struct {
	Eraser

	after int64 // the place in the log of the last erasure that was gone through
	again time.Time
}

// person is a row of the table.
type person struct {
	id  string
	seq int64
	why keyring.Erasure
}

// atOnce bounds what is gone through in one go.
const atOnce = 500

func (r *rounds) round(ctx context.Context) (again time.Time, err error) {
	if now := time.Now(); r.after > 0 && !now.Before(r.again) {
		r.after, r.again = 0, time.Time{}
	}
	for {
		some, err := r.next(ctx)
		if err != nil || len(some) == 0 {
			return r.again, err
		}
		if err := r.forget(ctx, some); err != nil {
			return time.Time{}, err
		}
		r.after = some[len(some)-1].seq
		if r.again.IsZero() {
			r.again = time.Now().Add(anew)
		}
	}
}

func (r *rounds) next(ctx context.Context) ([]person, error) {
	rows, err := r.DB.Query(ctx, `SELECT customer_id, seq, by_whom, reason FROM erasure WHERE seq > ? ORDER BY seq `+projection.Limit(atOnce), r.after)
	if err != nil {
		return nil, fmt.Errorf("look who is to be forgotten: %w", err)
	}
	return projection.Collect(rows, func(row projection.Scanner, p *person) error {
		return row.Scan(&p.id, &p.seq, &p.why.By, &p.why.Reason)
	})
}

// forget destroys the keys first: what is read from then on is empty.
func (r *rounds) forget(ctx context.Context, some []person) error {
	var customers, contacts []string
	for _, p := range some {
		if err := r.destroy(ctx, Customer, p.id, p.why); err != nil {
			return err
		}
		customers = append(customers, p.id)
		theirs, err := r.contactsOf(ctx, p.id)
		if err != nil {
			return err
		}
		for _, id := range theirs {
			if err := r.destroy(ctx, Contact, id, p.why); err != nil {
				return err
			}
		}
		contacts = append(contacts, theirs...)
	}
	return errors.Join(r.Flows.Forget(ctx, Customer, customers...), r.Flows.Forget(ctx, Contact, contacts...))
}

func (r *rounds) contactsOf(ctx context.Context, customerID string) ([]string, error) {
	if r.Contacts == nil {
		return nil, nil
	}
	all, err := r.Contacts(ctx, r.DB, customerID)
	if err != nil {
		return nil, fmt.Errorf("look for the contacts of who is to be forgotten: %w", err)
	}
	return all, nil
}

// destroy destroys a key, unless the ring knows already that it was: then this
// process holds it no more.
func (r *rounds) destroy(ctx context.Context, kind, id string, why keyring.Erasure) error {
	if _, err := r.Ring.Existing(ctx, codec.KeyName(kind, id)); errors.Is(err, keyring.ErrDestroyed) {
		return nil
	}
	return Destroy(ctx, r.Ring, kind, id, why)
}
