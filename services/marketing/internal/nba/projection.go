package nba

import (
	"context"
	"fmt"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the tables follow, and that decisions answer.
const Flow = "contact-events"

// Schema is the tables of the flow. What happened is kept by contact; whose it is
// follows from the contact when it is read. So what a visitor did before they
// were identified counts from then on.
//
// An ordinal numbers what one subject did, or was presented: the customer, or the contact as long as
// nobody knows the customer. It is no place in the log and no time, so that the
// tables are a function of what happened, and not of when and among what else.
//
// What is learned from is counted per proposition and situation, which is a
// function of one contact: so it adds up to the same in whatever order contacts
// come.
//
// What the data of a registered kind of event say is sealed with the contact's key. So
// such an event has its two rows of interest whatever it says, a topic's and a
// proposition's: nothing else follows from what is emptied when its visitor is erased.
var Schema = projection.Schema{Name: "nba", Version: 4, Sealed: []projection.Sealed{
	{Table: "nba_interest", Column: "topic", Subject: "contact", Of: "contact_id", Only: `source LIKE 'event %'`},
	{Table: "nba_interest", Column: "proposition_id", Subject: "contact", Of: "contact_id", Only: `source LIKE 'event %'`},
}, Tables: []string{
	`CREATE TABLE nba_contact (
		contact_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, channel BIGINT NOT NULL, ended BIGINT NOT NULL)`,
	`CREATE INDEX nba_contact_customer ON nba_contact (customer_id)`,
	`CREATE TABLE nba_subject (subject TEXT PRIMARY KEY, ordinal BIGINT NOT NULL)`,
	`CREATE TABLE nba_interest (
		contact_id TEXT, source TEXT, topic TEXT NOT NULL, proposition_id TEXT NOT NULL,
		ordinal BIGINT NOT NULL, last_at BIGINT NOT NULL,
		PRIMARY KEY (contact_id, source))`,
	`CREATE TABLE nba_presented (
		contact_id TEXT, proposition_id TEXT, presented BIGINT NOT NULL,
		situation BIGINT NOT NULL, accepted BIGINT NOT NULL, last_at BIGINT NOT NULL,
		PRIMARY KEY (contact_id, proposition_id))`,
	`CREATE TABLE nba_presentation (
		contact_id TEXT, proposition_id TEXT, ordinal BIGINT NOT NULL,
		PRIMARY KEY (contact_id, proposition_id, ordinal))`,
	`CREATE TABLE nba_answered (
		contact_id TEXT, proposition_id TEXT, lead_id TEXT, answer BIGINT NOT NULL, ordinal BIGINT NOT NULL, last_at BIGINT NOT NULL,
		PRIMARY KEY (contact_id, proposition_id, lead_id))`,
	`CREATE TABLE nba_learned (
		proposition_id TEXT, situation BIGINT, presented BIGINT NOT NULL, accepted BIGINT NOT NULL,
		PRIMARY KEY (proposition_id, situation))`,
	`CREATE TABLE nba_approach (
		contact_id TEXT, customer_id TEXT, channel BIGINT, hour BIGINT, times BIGINT NOT NULL,
		PRIMARY KEY (contact_id, customer_id, channel, hour))`,
	`CREATE INDEX nba_approach_customer ON nba_approach (customer_id)`,
	`CREATE TABLE nba_event (
		contact_id TEXT, kind TEXT, times BIGINT NOT NULL, last_at BIGINT NOT NULL,
		PRIMARY KEY (contact_id, kind))`,
	`CREATE INDEX nba_event_kind ON nba_event (kind, last_at)`,
}}

// Project keeps who is in contact, what they show interest in, what they were
// offered and what they said.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	if m, ok := e.Message.(*channelv1.MessageSent); ok {
		p := projector{tx: tx}
		return p.approached(ctx, m.GetCustomerId(), m.GetChannel(), e.Metadata.Time)
	}
	event, ok := e.Message.(inContact)
	if !ok || event.GetContactId() == "" {
		return nil
	}
	p := projector{tx: tx, at: e.Metadata.Time}
	if err := p.meet(ctx, event); err != nil {
		return err
	}
	if err := p.happened(ctx, kindOf(e.Message)); err != nil {
		return err
	}
	switch m := e.Message.(type) {
	case *channelv1.ContactHandedOver:
		return p.exec(ctx, `UPDATE nba_contact SET channel = ? WHERE contact_id = ?`, int32(m.GetTo()), p.contact)
	case *channelv1.ContactEnded:
		return p.exec(ctx, `UPDATE nba_contact SET ended = 1 WHERE contact_id = ?`, p.contact)
	case *channelv1.InterestShown:
		return p.interest(ctx, TopicKey(m.GetTopic()), "")
	case *channelv1.BannerClicked:
		return p.interest(ctx, "", m.GetPropositionId())
	case *channelv1.CommercialEventRecorded:
		return p.recorded(ctx, m)
	case *channelv1.PropositionPresented:
		return p.presented(ctx, m.GetPropositionId())
	case *channelv1.PropositionAnswered:
		return p.answered(ctx, m.GetPropositionId(), m.GetAnswer())
	case *channelv1.LeadResponseReceived:
		return p.answer(ctx, "", m.GetLeadId(), m.GetAnswer())
	default:
		return nil
	}
}

// projector writes what one event comes to.
type projector struct {
	tx                *projection.Tx
	contact, customer string
	at                time.Time // when it happened
}

func (p *projector) exec(ctx context.Context, statement string, args ...any) error {
	if err := p.tx.Write(ctx, statement, args...); err != nil {
		return fmt.Errorf("write what happened in contact %s: %w", p.contact, err)
	}
	return nil
}

// interest notes an interest in a topic, or in what a banner advertises: the last of
// them in the contact.
func (p *projector) interest(ctx context.Context, topic, proposition string) error {
	source := "topic " + topic
	if proposition != "" {
		source = "proposition " + proposition
	}
	ordinal, err := p.next(ctx)
	if err != nil {
		return err
	}
	return p.interestOf(ctx, source, topic, proposition, ordinal)
}

// told notes the interest that an event tells of in what is sealed, if any. Its
// ordinal, which no other event in the contact has, is what tells it from others.
func (p *projector) told(ctx context.Context, topic, proposition string) error {
	ordinal, err := p.next(ctx)
	if err != nil {
		return err
	}
	return p.interestOf(ctx, fmt.Sprint("event ", ordinal), topic, proposition, ordinal)
}

func (p *projector) interestOf(ctx context.Context, source, topic, proposition string, ordinal int64) error {
	return p.exec(ctx, `INSERT INTO nba_interest (contact_id, source, topic, proposition_id, ordinal, last_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (contact_id, source) DO UPDATE SET ordinal = excluded.ordinal, last_at = excluded.last_at`,
		p.contact, source, topic, proposition, ordinal, p.at.UnixMilli())
}

func (p *projector) presented(ctx context.Context, proposition string) error {
	channel, situation, err := p.situation(ctx, proposition)
	if err != nil {
		return err
	}
	err = p.exec(ctx, `INSERT INTO nba_presented (contact_id, proposition_id, presented, situation, accepted, last_at)
		VALUES (?, ?, 1, ?, 0, ?)
		ON CONFLICT (contact_id, proposition_id) DO UPDATE SET
			presented = nba_presented.presented + 1, situation = excluded.situation, accepted = 0, last_at = excluded.last_at`,
		p.contact, proposition, situation, p.at.UnixMilli())
	if err != nil {
		return err
	}
	ordinal, err := p.next(ctx)
	if err != nil {
		return err
	}
	err = p.exec(ctx, `INSERT INTO nba_presentation (contact_id, proposition_id, ordinal) VALUES (?, ?, ?)`, p.contact, proposition, ordinal)
	if err != nil {
		return err
	}
	err = p.exec(ctx, `INSERT INTO nba_learned (proposition_id, situation, presented, accepted) VALUES (?, ?, 1, 0)
		ON CONFLICT (proposition_id, situation) DO UPDATE SET presented = nba_learned.presented + 1`, proposition, situation)
	if err != nil {
		return err
	}
	return p.approached(ctx, "", channel, p.at)
}

// situation is that in which a proposition is presented now.
func (p *projector) situation(ctx context.Context, proposition string) (channel journeyv1.Channel, s Situation, err error) {
	var engaged, again bool
	err = p.tx.QueryRow(ctx, `SELECT channel,
			EXISTS (SELECT 1 FROM nba_interest i WHERE i.contact_id = c.contact_id),
			EXISTS (SELECT 1 FROM nba_presented p WHERE p.contact_id = c.contact_id AND p.proposition_id = ?)
		FROM nba_contact c WHERE c.contact_id = ?`, proposition, p.contact).Scan(&channel, &engaged, &again)
	if err != nil {
		return 0, 0, fmt.Errorf("read the situation of contact %s: %w", p.contact, err)
	}
	return channel, situationOf(channel, engaged, again), nil
}

// approached counts that a customer was approached. In a contact whose it is
// follows from the contact.
func (p *projector) approached(ctx context.Context, customer string, channel journeyv1.Channel, at time.Time) error {
	return p.exec(ctx, `INSERT INTO nba_approach (contact_id, customer_id, channel, hour, times) VALUES (?, ?, ?, ?, 1)
		ON CONFLICT (contact_id, customer_id, channel, hour) DO UPDATE SET times = nba_approach.times + 1`,
		p.contact, customer, int32(channel), hourOf(at))
}

// hourOf numbers hours: what is counted over time is counted by the hour.
func hourOf(at time.Time) int64 { return at.Unix() / 3600 }

func (p *projector) answered(ctx context.Context, proposition string, answer journeyv1.Answer) error {
	if answer == journeyv1.Answer_ANSWER_ACCEPTED {
		if err := p.learnAcceptance(ctx, proposition); err != nil {
			return err
		}
	}
	return p.answer(ctx, proposition, "", answer)
}

// learnAcceptance counts an acceptance for the situation of the last presentation
// in the contact, once. What was never presented tells nothing of a rate.
func (p *projector) learnAcceptance(ctx context.Context, proposition string) error {
	err := p.exec(ctx, `INSERT INTO nba_learned (proposition_id, situation, presented, accepted)
		SELECT proposition_id, situation, 0, 1 FROM nba_presented
		WHERE contact_id = ? AND proposition_id = ? AND accepted = 0
		ON CONFLICT (proposition_id, situation) DO UPDATE SET accepted = nba_learned.accepted + 1`, p.contact, proposition)
	if err != nil {
		return err
	}
	return p.exec(ctx, `UPDATE nba_presented SET accepted = 1 WHERE contact_id = ? AND proposition_id = ?`, p.contact, proposition)
}

// answer keeps the last answer to a proposition, or to a lead, in a contact.
func (p *projector) answer(ctx context.Context, proposition, lead string, answer journeyv1.Answer) error {
	ordinal, err := p.next(ctx)
	if err != nil {
		return err
	}
	return p.exec(ctx, `INSERT INTO nba_answered (contact_id, proposition_id, lead_id, answer, ordinal, last_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (contact_id, proposition_id, lead_id) DO UPDATE SET
			answer = excluded.answer, ordinal = excluded.ordinal, last_at = excluded.last_at`,
		p.contact, proposition, lead, int32(answer), ordinal, p.at.UnixMilli())
}
