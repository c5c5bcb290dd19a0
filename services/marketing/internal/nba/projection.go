package nba

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the tables follow, and that decisions answer.
const Flow = "contact-events"

// Schema is the tables of the flow. What happened is kept by contact; whose it is
// follows from the contact when it is read. So what a visitor did before they
// were identified counts from then on, and nothing has to be moved.
//
// seen_at is the event's place in the log, written so that text compares as
// places do: never a clock's time, which may go back.
var Schema = projection.Schema{Name: "nba", Version: 1, Tables: []string{
	`CREATE TABLE nba_contact (
		contact_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, channel BIGINT NOT NULL, ended BIGINT NOT NULL)`,
	`CREATE INDEX nba_contact_customer ON nba_contact (customer_id)`,
	`CREATE TABLE nba_interest (
		contact_id TEXT, topic TEXT, proposition_id TEXT, seen_at TEXT NOT NULL,
		PRIMARY KEY (contact_id, topic, proposition_id))`,
	`CREATE TABLE nba_presented (
		contact_id TEXT, proposition_id TEXT, presented BIGINT NOT NULL, unanswered BIGINT NOT NULL,
		PRIMARY KEY (contact_id, proposition_id))`,
	`CREATE TABLE nba_answered (
		contact_id TEXT, proposition_id TEXT, lead_id TEXT, answer BIGINT NOT NULL, seen_at TEXT NOT NULL,
		PRIMARY KEY (contact_id, proposition_id, lead_id))`,
	`CREATE TABLE nba_stats (proposition_id TEXT PRIMARY KEY, presented BIGINT NOT NULL, accepted BIGINT NOT NULL)`,
}}

// seenAt writes an event's place in the log as text that compares as places do.
func seenAt(e codec.Event) string {
	return fmt.Sprintf("%016x-%016x", e.Position.Commit, e.Position.Prepare)
}

// Project keeps who is in contact, what they show interest in, what they were
// offered and what they said.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	p := projector{tx: tx, seenAt: seenAt(e)}
	if err := p.contact(ctx, e.Message); err != nil {
		return err
	}
	switch m := e.Message.(type) {
	case *channelv1.ContactEnded:
		return p.exec(ctx, `UPDATE nba_contact SET ended = 1 WHERE contact_id = ?`, m.GetContactId())
	case *channelv1.InterestShown:
		return p.interest(ctx, m.GetContactId(), topicKey(m.GetTopic()), "")
	case *channelv1.BannerClicked:
		return p.interest(ctx, m.GetContactId(), "", m.GetPropositionId())
	case *channelv1.PropositionPresented:
		return p.presented(ctx, m)
	case *channelv1.PropositionAnswered:
		return p.answered(ctx, m)
	case *channelv1.LeadResponseReceived:
		return p.answer(ctx, m.GetContactId(), "", m.GetLeadId(), m.GetAnswer())
	default:
		return nil
	}
}

// projector writes what one event comes to.
type projector struct {
	tx     *projection.Tx
	seenAt string
}

func (p projector) exec(ctx context.Context, statement string, args ...any) error {
	if _, err := p.tx.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("write what happened in a contact: %w", err)
	}
	return nil
}

// inContact is an event that happened in a contact.
type inContact interface {
	GetContactId() string
}

// contact notes the contact of an event, with what the event tells of it.
func (p projector) contact(ctx context.Context, event proto.Message) error {
	m, ok := event.(inContact)
	if !ok || m.GetContactId() == "" {
		return nil
	}
	customer, channel := "", journeyv1.Channel_CHANNEL_UNSPECIFIED
	if known, ok := event.(interface{ GetCustomerId() string }); ok {
		customer = known.GetCustomerId()
	}
	if told, ok := event.(interface{ GetChannel() journeyv1.Channel }); ok {
		channel = told.GetChannel()
	}
	return p.exec(ctx, `INSERT INTO nba_contact (contact_id, customer_id, channel, ended) VALUES (?, ?, ?, 0)
		ON CONFLICT (contact_id) DO UPDATE SET
			customer_id = CASE excluded.customer_id WHEN '' THEN nba_contact.customer_id ELSE excluded.customer_id END,
			channel = CASE nba_contact.channel WHEN 0 THEN excluded.channel ELSE nba_contact.channel END`,
		m.GetContactId(), customer, int32(channel))
}

func (p projector) interest(ctx context.Context, contact, topic, proposition string) error {
	return p.exec(ctx, `INSERT INTO nba_interest (contact_id, topic, proposition_id, seen_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (contact_id, topic, proposition_id) DO UPDATE SET seen_at = excluded.seen_at`,
		contact, topic, proposition, p.seenAt)
}

func (p projector) presented(ctx context.Context, m *channelv1.PropositionPresented) error {
	err := p.exec(ctx, `INSERT INTO nba_presented (contact_id, proposition_id, presented, unanswered) VALUES (?, ?, 1, 1)
		ON CONFLICT (contact_id, proposition_id) DO UPDATE SET
			presented = nba_presented.presented + 1, unanswered = nba_presented.unanswered + 1`,
		m.GetContactId(), m.GetPropositionId())
	if err != nil {
		return err
	}
	return p.exec(ctx, `INSERT INTO nba_stats (proposition_id, presented, accepted) VALUES (?, 1, 0)
		ON CONFLICT (proposition_id) DO UPDATE SET presented = nba_stats.presented + 1`, m.GetPropositionId())
}

func (p projector) answered(ctx context.Context, m *channelv1.PropositionAnswered) error {
	if m.GetAnswer() == journeyv1.Answer_ANSWER_ACCEPTED {
		if err := p.learnAcceptance(ctx, m); err != nil {
			return err
		}
	}
	// An answer ends the run of unanswered presentations in all contacts of the
	// same customer.
	err := p.exec(ctx, `UPDATE nba_presented SET unanswered = 0 WHERE proposition_id = ? AND contact_id IN (
			SELECT contact_id FROM nba_contact WHERE contact_id = ?
			UNION SELECT c.contact_id FROM nba_contact c JOIN nba_contact this ON this.customer_id = c.customer_id
				WHERE this.contact_id = ? AND this.customer_id <> '')`,
		m.GetPropositionId(), m.GetContactId(), m.GetContactId())
	if err != nil {
		return err
	}
	return p.answer(ctx, m.GetContactId(), m.GetPropositionId(), "", m.GetAnswer())
}

// learnAcceptance counts an acceptance, unless the visitor only says the same
// again.
func (p projector) learnAcceptance(ctx context.Context, m *channelv1.PropositionAnswered) error {
	return p.exec(ctx, `INSERT INTO nba_stats (proposition_id, presented, accepted)
		SELECT ?, 0, 1 WHERE NOT EXISTS (SELECT 1 FROM nba_answered
			WHERE contact_id = ? AND proposition_id = ? AND lead_id = '' AND answer = ?)
		ON CONFLICT (proposition_id) DO UPDATE SET accepted = nba_stats.accepted + 1`,
		m.GetPropositionId(), m.GetContactId(), m.GetPropositionId(), int32(m.GetAnswer()))
}

// answer keeps the last answer to a proposition, or to a lead, in a contact.
func (p projector) answer(ctx context.Context, contact, proposition, lead string, answer journeyv1.Answer) error {
	return p.exec(ctx, `INSERT INTO nba_answered (contact_id, proposition_id, lead_id, answer, seen_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (contact_id, proposition_id, lead_id) DO UPDATE SET answer = excluded.answer, seen_at = excluded.seen_at`,
		contact, proposition, lead, int32(answer), p.seenAt)
}
