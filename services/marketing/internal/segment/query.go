package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// Condition is what a rule comes to: a condition of SQL on a customer c with their
// facts f, and its parameters.
type Condition struct {
	Where string
	Args  []any
}

// Read reads a rule, as it holds at a time. What is wrong with it is a *Problem.
func Read(ctx context.Context, db projection.Querier, rule string, at time.Time) (Condition, error) {
	propositions, err := proposition.All(ctx, db)
	if err != nil {
		return Condition{}, err
	}
	read, err := Parse(rule)
	if err != nil {
		return Condition{}, err
	}
	q, err := read.compile(propositions, at)
	if err != nil {
		return Condition{}, err
	}
	return Condition{Where: q.where.String(), Args: q.args}, nil
}

// query is the condition that a rule comes to, on a customer c with their facts f.
type query struct {
	where strings.Builder
	args  []any
	at    time.Time // what lately means, is until then
}

// compile turns a rule into a query, as it holds at a time, or says, as a *Problem, which proposition of it
// there is not.
func (r Rule) compile(propositions []*marketingv1.PropositionDefined, at time.Time) (*query, error) {
	q := &query{at: at}
	return q, q.rule(r, propositions)
}

func (q *query) rule(r Rule, propositions []*marketingv1.PropositionDefined) error {
	if r.condition != nil {
		return q.condition(*r.condition, propositions)
	}
	if r.join == "not" {
		q.where.WriteString("NOT ")
	}
	q.where.WriteString("(")
	for i, part := range r.parts {
		if i > 0 {
			q.where.WriteString(" " + strings.ToUpper(r.join) + " ")
		}
		if err := q.rule(part, propositions); err != nil {
			return err
		}
	}
	q.where.WriteString(")")
	return nil
}

// operators are those of SQL, where they differ.
var operators = map[string]string{"!=": "<>", "is": "=", "is not": "<>"}

func (q *query) condition(c condition, propositions []*marketingv1.PropositionDefined) error {
	if c.attribute.kind == set {
		return q.member(c, propositions)
	}
	operator, other := operators[c.operator]
	if !other {
		operator = c.operator
	}
	q.where.WriteString("(" + c.attribute.sql + " " + operator + " ?)")
	q.args = append(append(q.args, c.attribute.args...), c.value)
	return nil
}

// member asks whether a set has a value.
func (q *query) member(c condition, propositions []*marketingv1.PropositionDefined) error {
	if c.operator == "exclude" {
		q.where.WriteString("NOT ")
	}
	lately := ""
	if c.within > 0 {
		lately = " AND " + c.attribute.at + " > ?"
		q.args = append(q.args, q.at.Add(-c.within).UnixMilli())
	}
	q.where.WriteString(strings.Replace(c.attribute.sql, withinMark, lately, 1))
	q.args = append(q.args, c.attribute.args...)
	value := fmt.Sprint(c.value)
	if c.attribute.about == topics {
		q.topic(nba.TopicKey(value), propositions)
		return nil
	}
	if c.attribute.about == kinds {
		q.args = append(q.args, strings.ToLower(strings.TrimSpace(value)))
		return nil
	}
	if !slices.ContainsFunc(propositions, func(p *marketingv1.PropositionDefined) bool { return p.GetPropositionId() == value }) {
		return c.at.problem("there is no proposition %q", value)
	}
	q.args = append(q.args, value)
	return nil
}

// topic adds the topic, and the propositions on it: who clicks a banner shows
// interest in the topic of what it advertises.
func (q *query) topic(topic string, propositions []*marketingv1.PropositionDefined) {
	q.args = append(q.args, topic)
	marks := []string{"NULL"}
	for _, p := range propositions {
		if nba.TopicKey(p.GetTopic()) == topic {
			marks = append(marks, "?")
			q.args = append(q.args, p.GetPropositionId())
		}
	}
	q.where.WriteString("(" + strings.Join(marks, ", ") + ")))")
}

// everybody is all customers whom some flow has told of.
const everybody = `(SELECT customer_id FROM facts_customer
	UNION SELECT customer_id FROM nba_contact WHERE customer_id <> ''
	UNION SELECT customer_id FROM complaint_request WHERE customer_id <> '') c
	LEFT JOIN facts_customer f ON f.customer_id = c.customer_id`

// reach counts whom a query hits, and who is known.
func (q *query) reach(ctx context.Context, db projection.Querier) (hit, known uint64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(sum(CASE WHEN `+q.where.String()+` THEN 1 ELSE 0 END), 0), count(*) FROM `+everybody, q.args...).
		Scan(&hit, &known)
	if err != nil {
		return 0, 0, fmt.Errorf("count the customers of a rule: %w", err)
	}
	return hit, known, nil
}

// hits tells whether a query hits a customer.
func (q *query) hits(ctx context.Context, db projection.Querier, customer string) (yes bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM (SELECT CAST(? AS TEXT) AS customer_id) c
		LEFT JOIN facts_customer f ON f.customer_id = c.customer_id WHERE `+q.where.String()+`)`,
		append([]any{customer}, q.args...)...).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look whether a customer belongs to a segment: %w", err)
	}
	return yes, nil
}
