package segment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
)

// kind is an attribute's type.
type kind int

const (
	number kind = iota
	money
	choice
	set
)

// operators are those that a kind takes.
func (k kind) operators() []string {
	switch k {
	case choice:
		return []string{"is", "is not"}
	case set:
		return []string{"include", "exclude"}
	default:
		return []string{"=", "!=", "<", "<=", ">", ">="}
	}
}

func (k kind) String() string {
	return [...]string{"a number", "an amount of money", "a choice", "a set"}[k]
}

// attribute is something that rules ask of a customer.
type attribute struct {
	name string
	kind kind
	// about is what the values of a set are.
	about about
	// choices are the words of a choice, each with its number in the tables.
	choices map[string]int32
	// sql is an expression over the customer c; for a set it is a condition, of
	// which the value is the last parameter, and withinMark stands where a rule may ask
	// for what happened lately.
	sql string
	// at is when a member of a set came last, in milliseconds.
	at string
	// args are the parameters of sql that are always the same.
	args []any
}

// withinMark is where the condition goes that something happened lately.
const withinMark = `/*within*/`

// about is what the values of a set are.
type about int

const (
	topics about = iota
	propositions
	kinds // of events; which there are, channels say
)

var attributes = []attribute{
	{name: "orders", kind: number, sql: `coalesce(f.orders, 0)`},
	{name: "spent", kind: money, sql: `coalesce(f.spent_cents, 0)`},
	{
		name: "consent", kind: choice, sql: `coalesce(f.consent, 0)`,
		choices: map[string]int32{
			"unknown":   int32(journeyv1.Consent_CONSENT_UNSPECIFIED),
			"granted":   int32(journeyv1.Consent_CONSENT_GRANTED),
			"withdrawn": int32(journeyv1.Consent_CONSENT_WITHDRAWN),
		},
	},
	{
		name: "open_complaints", kind: number, args: complaint.IsOpenArgs(),
		sql: `(SELECT count(*) FROM complaint_request r WHERE r.customer_id = c.customer_id AND ` + complaint.IsOpen + `)`,
	},
	{name: "contacts", kind: number, sql: `(SELECT count(*) FROM nba_contact n WHERE n.customer_id = c.customer_id)`},
	{
		name: "interests", kind: set, about: topics, at: "i.last_at",
		sql: `EXISTS (SELECT 1 FROM nba_interest i JOIN nba_contact n ON n.contact_id = i.contact_id
			WHERE n.customer_id = c.customer_id` + withinMark + ` AND (i.topic = ? OR i.proposition_id IN `,
	},
	{
		name: "events", kind: set, about: kinds, at: "v.last_at",
		sql: `EXISTS (SELECT 1 FROM nba_event v JOIN nba_contact n ON n.contact_id = v.contact_id
			WHERE n.customer_id = c.customer_id` + withinMark + ` AND v.kind = ?)`,
	},
	{
		name: "presented", kind: set, about: propositions, at: "p.last_at",
		sql: `EXISTS (SELECT 1 FROM nba_presented p JOIN nba_contact n ON n.contact_id = p.contact_id
			WHERE n.customer_id = c.customer_id` + withinMark + ` AND p.proposition_id = ?)`,
	},
	{name: "accepted", kind: set, about: propositions, at: "a.last_at", sql: answered, args: []any{int32(journeyv1.Answer_ANSWER_ACCEPTED)}},
	{name: "rejected", kind: set, about: propositions, at: "a.last_at", sql: answered, args: []any{int32(journeyv1.Answer_ANSWER_REJECTED)}},
}

// answered asks for an answer that was the last in some contact, to a proposition or
// to a lead that offered it.
const answered = `EXISTS (SELECT 1 FROM nba_answered a JOIN nba_contact n ON n.contact_id = a.contact_id
	LEFT JOIN own_lead l ON l.lead_id = a.lead_id
	WHERE n.customer_id = c.customer_id` + withinMark + ` AND a.answer = ? AND coalesce(l.proposition_id, a.proposition_id) = ?)`

func attributeOf(name string) (attribute, bool) {
	i := slices.IndexFunc(attributes, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return attribute{}, false
	}
	return attributes[i], true
}

func attributeNames() string {
	var names []string
	for _, a := range attributes {
		names = append(names, a.name)
	}
	return strings.Join(names, ", ")
}

// value reads a value of an attribute, or says what is wrong with it.
func (a attribute) value(t token) (any, string) {
	switch a.kind {
	case choice:
		chosen, ok := a.choices[t.text]
		if t.is != word || !ok {
			return nil, fmt.Sprintf("%s is one of %s, and not %s", a.name, strings.Join(sortedKeys(a.choices), ", "), t)
		}
		return chosen, ""
	case set:
		if t.is != text || strings.TrimSpace(t.text) == "" {
			return nil, fmt.Sprintf("%s are texts, such as %s include \"jazz\", and not %s", a.name, a.name, t)
		}
		return t.text, ""
	default:
		return a.amount(t)
	}
}

// amount reads a number, in hundredths where it is money.
func (a attribute) amount(t token) (any, string) {
	whole, cents, fraction := strings.Cut(t.text, ".")
	if t.is != numeral || fraction && (a.kind != money || len(cents) < 1 || len(cents) > 2 || strings.Contains(cents, ".")) {
		if a.kind == money {
			return nil, fmt.Sprintf("%s is an amount of money, such as 99.50, and not %s", a.name, t)
		}
		return nil, fmt.Sprintf("%s is a whole number, and not %s", a.name, t)
	}
	if a.kind == money {
		whole += (cents + "00")[:2]
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return nil, fmt.Sprintf("%s is too large a number", t)
	}
	return n, ""
}
