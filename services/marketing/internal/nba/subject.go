package nba

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/erasure"
)

// inContact is an event that happened in a contact.
type inContact interface {
	GetContactId() string
}

// meet notes the contact of an event, with what the event tells of it, and who
// the customer is from now on.
func (p *projector) meet(ctx context.Context, event inContact) error {
	p.contact = event.GetContactId()
	before, err := p.knownAs(ctx)
	if err != nil {
		return err
	}
	p.customer = before
	if known, ok := event.(interface{ GetCustomerId() string }); ok {
		p.customer = cmp.Or(known.GetCustomerId(), before)
	}
	var channel journeyv1.Channel
	if told, ok := event.(interface{ GetChannel() journeyv1.Channel }); ok {
		channel = told.GetChannel()
	}
	err = p.exec(ctx, `INSERT INTO nba_contact (contact_id, customer_id, channel, ended) VALUES (?, ?, ?, 0)
		ON CONFLICT (contact_id) DO UPDATE SET customer_id = excluded.customer_id,
			channel = CASE nba_contact.channel WHEN 0 THEN excluded.channel ELSE nba_contact.channel END`,
		p.contact, p.customer, int32(channel))
	if err != nil || p.customer == before {
		return err
	}
	return p.join(ctx, cmp.Or(before, p.contact))
}

// knownAs returns the contact's customer; empty as long as nobody knows.
func (p *projector) knownAs(ctx context.Context) (customer string, err error) {
	err = p.tx.QueryRow(ctx, `SELECT customer_id FROM nba_contact WHERE contact_id = ?`, p.contact).Scan(&customer)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read contact %s: %w", p.contact, err)
	}
	return customer, nil
}

// Contacts returns the contacts that are known to be a customer's.
var Contacts = erasure.ContactsIn("nba_contact")

// join numbers what was done in the contact, so far under another subject, after
// what the customer had done: it becomes theirs now.
func (p *projector) join(ctx context.Context, before string) error {
	done, err := p.ordinal(ctx, before)
	if err != nil {
		return err
	}
	offset, err := p.ordinal(ctx, p.customer)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		`UPDATE nba_interest SET ordinal = ordinal + ? WHERE contact_id = ?`,
		`UPDATE nba_answered SET ordinal = ordinal + ? WHERE contact_id = ?`,
	} {
		if err := p.exec(ctx, statement, offset, p.contact); err != nil {
			return err
		}
	}
	if err := p.joinPresentations(ctx, offset); err != nil {
		return err
	}
	return p.exec(ctx, `INSERT INTO nba_subject (subject, ordinal) VALUES (?, ?)
		ON CONFLICT (subject) DO UPDATE SET ordinal = excluded.ordinal`, p.customer, offset+done)
}

// ordinal is that of the last thing that a subject did.
func (p *projector) ordinal(ctx context.Context, subject string) (ordinal int64, err error) {
	err = p.tx.QueryRow(ctx, `SELECT ordinal FROM nba_subject WHERE subject = ?`, subject).Scan(&ordinal)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("number what happened in contact %s: %w", p.contact, err)
	}
	return ordinal, nil
}

// next is the ordinal of what the event's subject does now.
func (p *projector) next(ctx context.Context) (ordinal int64, err error) {
	err = p.tx.QueryRow(ctx, `INSERT INTO nba_subject (subject, ordinal) VALUES (?, 1)
		ON CONFLICT (subject) DO UPDATE SET ordinal = nba_subject.ordinal + 1 RETURNING ordinal`,
		cmp.Or(p.customer, p.contact)).Scan(&ordinal)
	if err != nil {
		return 0, fmt.Errorf("number what happened in contact %s: %w", p.contact, err)
	}
	return ordinal, nil
}

// joinPresentations numbers the presentations in the contact anew. Their ordinals are
// part of the key, and none may come on another one's on the way.
func (p *projector) joinPresentations(ctx context.Context, offset int64) error {
	err := p.exec(ctx, `UPDATE nba_presentation SET ordinal = -(ordinal + ?) WHERE contact_id = ?`, offset, p.contact)
	if err != nil {
		return err
	}
	return p.exec(ctx, `UPDATE nba_presentation SET ordinal = -ordinal WHERE contact_id = ?`, p.contact)
}
