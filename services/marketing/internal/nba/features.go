package nba

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// Features are all that a decision rests on. Their JSON, in the order of these
// fields and with the propositions by id, is what the decision's event keeps:
// a field may be added, none may change its meaning.
type Features struct {
	Contact        string `json:"contact"`
	Customer       string `json:"customer"`
	Channel        string `json:"channel"`
	OpenComplaints uint32 `json:"open_complaints"`
	// Orders and SpentCents are on record for who reads the decision; the model
	// does not weigh them yet.
	Orders     uint32 `json:"orders"`
	SpentCents int64  `json:"spent_cents"`
	// Interests are topics in one spelling, most recent first.
	Interests    []string  `json:"interests"`
	Propositions []Offered `json:"propositions"`
	// Arbitration is how lists are made.
	Arbitration Rules `json:"arbitration,omitzero"`
	// Limits are those of the contact's channel.
	Limits []Limit `json:"limits,omitempty"`
}

// Rules are how lists are made, as a decision looks at it.
type Rules struct {
	FactorsOff   []string `json:"factors_off,omitempty"`
	Exploration  string   `json:"exploration,omitempty"`
	ControlShare float64  `json:"control_share,omitempty"`
}

// weighs tells whether a factor counts.
func (r Rules) weighs(f marketingv1.Factor) bool { return !slices.Contains(r.FactorsOff, f.String()) }

// explores tells whether propensities are drawn.
func (r Rules) explores() bool {
	return r.Exploration == marketingv1.Exploration_EXPLORATION_THOMPSON.String() && r.weighs(marketingv1.Factor_FACTOR_PROPENSITY)
}

// Limit is a limit of how often a customer is approached in a channel, and how
// often they were.
type Limit struct {
	Hours      uint32 `json:"hours"`
	Most       uint32 `json:"most"`
	Approaches uint32 `json:"approaches"`
}

// Offered is a proposition as a decision looks at it: what it is, how everybody
// has taken it, and how this customer has.
type Offered struct {
	ID             string  `json:"id"`
	Purpose        string  `json:"purpose"`
	Topic          string  `json:"topic"` // in one spelling
	ValueCents     int64   `json:"value_cents"`
	Lever          float64 `json:"lever"`
	BasePropensity float64 `json:"base_propensity"`
	// HasContent tells whether there is content for the contact's channel.
	HasContent bool `json:"has_content,omitempty"`
	// Presented and Accepted count all customers, for version 1 of the model.
	Presented uint64 `json:"presented,omitempty"`
	Accepted  uint64 `json:"accepted,omitempty"`
	// Situation is that of the contact, and Learned what all customers made of the
	// proposition in each situation, in the order of the situations.
	Situation Situation `json:"situation,omitempty"`
	Learned   []Tally   `json:"learned,omitempty"`
	// LastAnswer is this customer's, in whatever contact; empty for none.
	LastAnswer string `json:"last_answer,omitempty"`
	// RejectedHere tells that the last answer within this contact is no.
	RejectedHere bool `json:"rejected_here,omitempty"`
	// Unanswered counts how often it was presented to this customer since their
	// last answer to it.
	Unanswered uint64 `json:"unanswered,omitempty"`
}

// TopicKey brings a topic into one spelling: channels write it as visitors do.
func TopicKey(topic string) string { return strings.ToLower(strings.TrimSpace(topic)) }

// Canonical writes the features in their one form. Numbers come back from it bit
// for bit: Go writes the shortest text that does.
func (f Features) Canonical() (string, error) {
	f.Propositions = byID(f.Propositions)
	text, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("write features: %w", err)
	}
	return string(text), nil
}

// ParseFeatures reads what Canonical wrote.
func ParseFeatures(text string) (Features, error) {
	var f Features
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return Features{}, fmt.Errorf("read features: %w", err)
	}
	return f, nil
}

func byID(all []Offered) []Offered {
	return slices.SortedFunc(slices.Values(all), func(a, b Offered) int { return cmp.Compare(a.ID, b.ID) })
}
