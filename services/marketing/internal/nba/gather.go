package nba

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// interestsKept is how many interests a decision's features hold: more than the
// model looks at, for who reads the decision.
const interestsKept = 20

// gathered is what the tables say about a contact, as far as each flow has come.
type gathered struct {
	features Features
	channel  journeyv1.Channel
	wording  Wording
}

// gather reads the features of a customer in a contact, at a time.
func gather(ctx context.Context, q projection.Querier, contact, customer string, at time.Time) (gathered, error) {
	g := gathered{features: Features{Contact: contact, Customer: customer, Interests: []string{}}, wording: Wording{}}
	var err error
	if g.channel, err = channelOf(ctx, q, contact); err != nil {
		return g, err
	}
	g.features.Channel = g.channel.String()
	known, err := facts.Of(ctx, q, customer)
	if err != nil {
		return g, err
	}
	g.features.Orders, g.features.SpentCents = known.Orders, known.SpentCents
	if g.features.OpenComplaints, err = complaint.Open(ctx, q, customer); err != nil {
		return g, err
	}
	if err := g.arbitration(ctx, q, at); err != nil {
		return g, err
	}
	propositions, err := proposition.All(ctx, q)
	if err != nil {
		return g, err
	}
	interests, err := Interests(ctx, q, customer, propositions)
	if err != nil {
		return g, err
	}
	g.features.Interests = append(g.features.Interests, interests[:min(len(interests), interestsKept)]...)
	return g, g.offer(ctx, q, propositions)
}

func channelOf(ctx context.Context, q projection.Querier, contact string) (journeyv1.Channel, error) {
	var channel int32
	err := q.QueryRow(ctx, `SELECT channel FROM nba_contact WHERE contact_id = ?`, contact).Scan(&channel)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read contact %s: %w", contact, err)
	}
	return journeyv1.Channel(channel), nil
}

// offer adds the propositions, with what everybody and this customer made of
// them.
func (g *gathered) offer(ctx context.Context, q projection.Querier, propositions []*marketingv1.PropositionDefined) error {
	learned, err := readLearned(ctx, q)
	if err != nil {
		return err
	}
	history, err := readHistory(ctx, q, g.features.Contact, g.features.Customer)
	if err != nil {
		return err
	}
	for _, p := range propositions {
		id := p.GetPropositionId()
		o := Offered{
			ID: id, Purpose: p.GetPurpose().String(), Topic: TopicKey(p.GetTopic()),
			ValueCents: p.GetValueCents(), Lever: p.GetLever(), BasePropensity: p.GetBasePropensity(),
			Situation: situationOf(g.channel, history.engaged, history.presented[id]), Learned: learned[id],
			RejectedHere: history.rejectedHere(id), Unanswered: history.unanswered[id],
		}
		if last, ok := history.last[id]; ok {
			o.LastAnswer = last.answer.String()
		}
		var text string
		if text, o.HasContent = proposition.ContentFor(p, g.channel); o.HasContent {
			g.wording[id] = Words{Name: p.GetName(), Content: text}
		}
		g.features.Propositions = append(g.features.Propositions, o)
	}
	return nil
}

// readLearned reads what everybody made of the propositions, by proposition: in
// contacts, and of leads.
func readLearned(ctx context.Context, q projection.Querier) (map[string][]Tally, error) {
	learned := map[string][]Tally{}
	err := addTallies(ctx, q, learned, func(situation uint8) Situation { return Situation(situation) },
		`SELECT proposition_id, situation, presented, accepted FROM nba_learned ORDER BY proposition_id, situation`)
	if err != nil {
		return nil, err
	}
	return learned, addTallies(ctx, q, learned, func(channel uint8) Situation {
		return Outbound | situationOf(journeyv1.Channel(channel), false, false)
	}, `SELECT proposition_id, channel, presented, accepted FROM own_learned WHERE presented > 0 ORDER BY proposition_id, channel`)
}

// addTallies adds what a statement returns, each row in the situation that its number
// stands for.
func addTallies(ctx context.Context, q projection.Querier, to map[string][]Tally, in func(uint8) Situation, statement string) error {
	rows, err := q.Query(ctx, statement)
	if err != nil {
		return fmt.Errorf("read how propositions were taken: %w", err)
	}
	type row struct {
		id     string
		number uint8
		Tally
	}
	all, err := projection.Collect(rows, func(from projection.Scanner, r *row) error {
		return from.Scan(&r.id, &r.number, &r.Presented, &r.Accepted)
	})
	if err != nil {
		return fmt.Errorf("read how propositions were taken: %w", err)
	}
	for _, r := range all {
		r.Situation = in(r.number)
		to[r.id] = tallied(to[r.id], r.Tally)
	}
	return nil
}

// tallied adds a tally to those of other situations, in their order.
func tallied(all []Tally, t Tally) []Tally {
	i, there := slices.BinarySearchFunc(all, t, func(a, b Tally) int { return cmp.Compare(a.Situation, b.Situation) })
	if !there {
		return slices.Insert(all, i, t)
	}
	all[i].Presented += t.Presented
	all[i].Accepted += t.Accepted
	return all
}

// Interests returns the topics that a customer has shown interest in, in one
// spelling, most recent first. A banner that was clicked shows interest in the
// topic of what it advertises.
func Interests(
	ctx context.Context, q projection.Querier, customer string, propositions []*marketingv1.PropositionDefined,
) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT i.topic, i.proposition_id FROM nba_interest i
		JOIN nba_contact c ON c.contact_id = i.contact_id
		WHERE c.customer_id = ? GROUP BY i.topic, i.proposition_id
		ORDER BY max(i.ordinal) DESC, i.topic, i.proposition_id`, customer)
	if err != nil {
		return nil, fmt.Errorf("read the interests of a customer: %w", err)
	}
	type interest struct{ topic, proposition string }
	all, err := projection.Collect(rows, func(row projection.Scanner, i *interest) error {
		return row.Scan(&i.topic, &i.proposition)
	})
	if err != nil {
		return nil, fmt.Errorf("read the interests of a customer: %w", err)
	}
	topics := make(map[string]string, len(propositions))
	for _, p := range propositions {
		topics[p.GetPropositionId()] = TopicKey(p.GetTopic())
	}
	var distinct []string
	for _, i := range all {
		if i.proposition != "" {
			i.topic = topics[i.proposition]
		}
		if i.topic != "" && !slices.Contains(distinct, i.topic) {
			distinct = append(distinct, i.topic)
		}
	}
	return distinct, nil
}
