package nba

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// Model decides. Its parameters are part of it: another value of one is another
// version.
type Model struct {
	Version string `json:"version"`
	// PriorWeight is how many presentations a proposition's base propensity
	// counts for against what was learned.
	PriorWeight float64 `json:"prior_weight"`
	// InterestBoost is the context of a proposition whose topic is among the
	// RecentInterests last ones; it is 1 otherwise.
	InterestBoost   float64 `json:"interest_boost"`
	RecentInterests int     `json:"recent_interests"`
	// MostUnanswered is how often a proposition is presented in vain.
	MostUnanswered uint64 `json:"most_unanswered"`
	// ListLength is how many actions a list has at most.
	ListLength int `json:"list_length"`
}

// current is the model that decides now.
var current = Model{
	Version: "1", PriorWeight: 20, InterestBoost: 2, RecentInterests: 5, MostUnanswered: 3, ListLength: 3,
}

// models are all models that ever decided, by their version: what they decided
// can be replayed for ever.
var models = map[string]Model{current.Version: current}

// Digest is SHA-256 over the model's parameters, in hexadecimal.
func (m Model) Digest() (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("digest of model %s: %w", m.Version, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Decision is what a model makes of features.
type Decision struct {
	// Candidates are all propositions, by id, with their factors.
	Candidates []*marketingv1.Candidate
	// List is the best of those that passed every gate, best first.
	List []*marketingv1.Candidate
	// Seed is the seed of chance. Version 1 draws none: the seed is there so that
	// one that explores is replayed like any other.
	Seed uint64
}

// Decide ranks the propositions. It is pure: the same input always gives the same
// output, to the last bit.
func (m Model) Decide(f Features, seed uint64) Decision {
	d := Decision{Seed: seed}
	recent := f.Interests[:min(len(f.Interests), m.RecentInterests)]
	for _, p := range byID(f.Propositions) {
		c := m.candidate(f, p, slices.Contains(recent, p.Topic))
		d.Candidates = append(d.Candidates, c)
		if c.GetGate() == marketingv1.Gate_GATE_UNSPECIFIED {
			d.List = append(d.List, c)
		}
	}
	// Stable, so that equal priorities stay in the order of their ids.
	slices.SortStableFunc(d.List, func(a, b *marketingv1.Candidate) int { return cmp.Compare(b.GetPriority(), a.GetPriority()) })
	d.List = d.List[:min(len(d.List), m.ListLength)]
	return d
}

func (m Model) candidate(f Features, p Offered, interesting bool) *marketingv1.Candidate {
	c := &marketingv1.Candidate{
		PropositionId: p.ID,
		Gate:          m.gate(f, p),
		Propensity:    m.propensity(p),
		Context:       1,
		Value:         float64(p.ValueCents) / 100,
		Lever:         p.Lever,
	}
	if interesting {
		c.Context = m.InterestBoost
	}
	if c.GetGate() == marketingv1.Gate_GATE_UNSPECIFIED {
		// Each product is rounded by itself, in this order, on every machine.
		c.Priority = float64(float64(float64(c.GetPropensity()*c.GetContext())*c.GetValue()) * c.GetLever())
	}
	return c
}

// propensity starts at the base propensity and moves to the share of those who
// accepted as more are asked. The conversions keep a compiler from fusing the
// product into the sum, which rounds otherwise on some machines.
func (m Model) propensity(p Offered) float64 {
	accepted := float64(m.PriorWeight*p.BasePropensity) + float64(p.Accepted)
	presented := m.PriorWeight + float64(p.Presented)
	return min(1, float64(accepted/presented))
}

// gate returns the first gate that a proposition does not pass.
func (m Model) gate(f Features, p Offered) marketingv1.Gate {
	switch {
	case !p.HasContent:
		return marketingv1.Gate_GATE_ELIGIBILITY
	case p.LastAnswer == journeyv1.Answer_ANSWER_ACCEPTED.String():
		return marketingv1.Gate_GATE_APPLICABILITY
	case p.Purpose == marketingv1.Purpose_PURPOSE_SALES.String() && f.OpenComplaints > 0:
		return marketingv1.Gate_GATE_SUITABILITY
	case p.RejectedHere, p.Unanswered >= m.MostUnanswered:
		return marketingv1.Gate_GATE_CONTACT_POLICY
	default:
		return marketingv1.Gate_GATE_UNSPECIFIED
	}
}
