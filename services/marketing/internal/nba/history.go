package nba

import (
	"context"
	"fmt"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// given is an answer, numbered among what the customer did.
type given struct {
	proposition string
	contact     string
	answer      journeyv1.Answer
	ordinal     int64
}

// history is what a customer has made of the propositions so far, by their id.
type history struct {
	last       map[string]given // in whatever contact
	here       map[string]given // in this contact
	unanswered map[string]uint64
	// engaged tells that an interest was shown in this contact, and presented which
	// propositions were.
	engaged   bool
	presented map[string]bool
}

func (h history) rejectedHere(proposition string) bool {
	return h.here[proposition].answer == journeyv1.Answer_ANSWER_REJECTED
}

// add keeps an answer where it is the later one.
func add(to map[string]given, g given) {
	if to[g.proposition].ordinal < g.ordinal {
		to[g.proposition] = g
	}
}

// readHistory reads what a customer answered, to propositions in contacts and to
// leads, and what they were presented in vain.
func readHistory(ctx context.Context, q projection.Querier, contact, customer string) (history, error) {
	h := history{last: map[string]given{}, here: map[string]given{}, unanswered: map[string]uint64{}, presented: map[string]bool{}}
	if err := h.readContact(ctx, q, contact); err != nil {
		return h, err
	}
	answers, err := readAnswers(ctx, q, customer)
	if err != nil {
		return h, err
	}
	for _, g := range answers {
		add(h.last, g)
		if g.contact == contact {
			add(h.here, g)
		}
	}
	return h, h.readUnanswered(ctx, q, customer)
}

// readContact reads what happened in the contact.
func (h *history) readContact(ctx context.Context, q projection.Querier, contact string) error {
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM nba_interest WHERE contact_id = ?)`, contact).Scan(&h.engaged)
	if err != nil {
		return fmt.Errorf("read the interests shown in contact %s: %w", contact, err)
	}
	rows, err := q.Query(ctx, `SELECT proposition_id FROM nba_presented WHERE contact_id = ?`, contact)
	if err != nil {
		return fmt.Errorf("read what was presented in contact %s: %w", contact, err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	if err != nil {
		return fmt.Errorf("read what was presented in contact %s: %w", contact, err)
	}
	for _, id := range all {
		h.presented[id] = true
	}
	return nil
}

// readAnswers joins the answers to leads with the leads, of which the service's
// own flow tells what they offered.
func readAnswers(ctx context.Context, q projection.Querier, customer string) ([]given, error) {
	rows, err := q.Query(ctx, `SELECT a.contact_id, coalesce(l.proposition_id, a.proposition_id), a.answer, a.ordinal
		FROM nba_answered a JOIN nba_contact c ON c.contact_id = a.contact_id
		LEFT JOIN own_lead l ON l.lead_id = a.lead_id
		WHERE c.customer_id = ? ORDER BY a.ordinal`, customer)
	if err != nil {
		return nil, fmt.Errorf("read the answers of a customer: %w", err)
	}
	answers, err := projection.Collect(rows, func(row projection.Scanner, g *given) error {
		var answer int32
		if err := row.Scan(&g.contact, &g.proposition, &answer, &g.ordinal); err != nil {
			return err
		}
		g.answer = journeyv1.Answer(answer)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the answers of a customer: %w", err)
	}
	return answers, nil
}

// readUnanswered counts the presentations that came after the customer's last answer
// to the proposition, in whatever contact either was. That is counted when it is
// read, and not kept: whose contact it was may be known only later, as may which
// proposition a lead offered.
func (h history) readUnanswered(ctx context.Context, q projection.Querier, customer string) error {
	rows, err := q.Query(ctx, `SELECT p.proposition_id, p.ordinal FROM nba_presentation p
		JOIN nba_contact c ON c.contact_id = p.contact_id WHERE c.customer_id = ?`, customer)
	if err != nil {
		return fmt.Errorf("read what a customer left unanswered: %w", err)
	}
	type presentation struct {
		proposition string
		ordinal     int64
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, p *presentation) error {
		return row.Scan(&p.proposition, &p.ordinal)
	})
	if err != nil {
		return fmt.Errorf("read what a customer left unanswered: %w", err)
	}
	for _, p := range all {
		if p.ordinal > h.last[p.proposition].ordinal {
			h.unanswered[p.proposition]++
		}
	}
	return nil
}
