package nba

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// Model decides. Its parameters are part of it: another value of one is another
// version.
type Model struct {
	Version string `json:"version"`
	// PriorWeight is how many presentations a proposition's base propensity
	// counts for against what was learned, where there is no Learner.
	PriorWeight float64 `json:"prior_weight,omitempty"`
	// InterestBoost is the context of a proposition whose topic is among the
	// RecentInterests last ones; it is 1 otherwise.
	InterestBoost   float64 `json:"interest_boost"`
	RecentInterests int     `json:"recent_interests"`
	// MostUnanswered is how often a proposition is presented in vain.
	MostUnanswered uint64 `json:"most_unanswered"`
	// ListLength is how many actions a list has at most.
	ListLength int `json:"list_length"`
	// Learner learns propensities in context. Version 1 has none, and counts.
	Learner *Learner `json:"learner,omitempty"`
}

// current is the model that decides now.
var current = Model{
	Version: "3", InterestBoost: 2, RecentInterests: 5, MostUnanswered: 3, ListLength: 3,
	Learner: &Learner{PriorCount: 20, SituationVariance: 0.25, OutboundVariance: 4, LeastBase: 0.001, Quantile: 1.6448536269514722, Points: 256},
}

// indoors is the model of before, which learned from contacts alone. A weight that
// no tally has changes no bit of the others.
var indoors = Model{
	Version: "2", InterestBoost: 2, RecentInterests: 5, MostUnanswered: 3, ListLength: 3,
	Learner: &Learner{PriorCount: 20, SituationVariance: 0.25, LeastBase: 0.001, Quantile: 1.6448536269514722, Points: 256},
}

// counting is the first model, which drew no chance.
var counting = Model{
	Version: "1", PriorWeight: 20, InterestBoost: 2, RecentInterests: 5, MostUnanswered: 3, ListLength: 3,
}

// models are all models that ever decided, by their version: what they decided
// can be replayed for ever.
var models = map[string]Model{counting.Version: counting, indoors.Version: indoors, current.Version: current}

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
	// Group is how the list was made.
	Group marketingv1.Group
	// Seed is the seed of chance. Version 1 drew none.
	Seed uint64
}

// Decide ranks the propositions. It is pure: the same input always gives the same
// output, to the last bit.
func (m Model) Decide(f Features, seed uint64) Decision {
	d := Decision{Seed: seed}
	var contenders []contender
	recent := f.Interests[:min(len(f.Interests), m.RecentInterests)]
	for _, p := range byID(f.Propositions) {
		c, known := m.candidate(f, p, slices.Contains(recent, p.Topic))
		d.Candidates = append(d.Candidates, c)
		if c.GetGate() == marketingv1.Gate_GATE_UNSPECIFIED {
			d.List = append(d.List, c)
			contenders = append(contenders, known)
		}
	}
	d.Group = m.arbitrate(f.Arbitration, f.Customer, d.List, contenders, seed)
	// Stable, so that equal priorities stay in the order of their ids.
	slices.SortStableFunc(d.List, func(a, b *marketingv1.Candidate) int { return cmp.Compare(b.GetPriority(), a.GetPriority()) })
	if m.Learner != nil && !d.isByChance(f.Arbitration) && len(d.List) > 0 {
		d.List[0].FirstProbability = 1
	}
	d.List = d.List[:min(len(d.List), m.ListLength)]
	return d
}

// isByChance tells whether another seed might have given another list.
func (d Decision) isByChance(r Rules) bool {
	return d.Group == marketingv1.Group_GROUP_CONTROL || r.explores()
}

// candidate is a proposition with its factors, and what is known of its rate. A
// factor that is switched off counts as 1.
func (m Model) candidate(f Features, p Offered, interesting bool) (*marketingv1.Candidate, contender) {
	c := &marketingv1.Candidate{PropositionId: p.ID, Propensity: 1, Context: 1, Value: 1, Lever: 1}
	failed := m.failed(f, p)
	if len(failed) > 0 {
		c.Gate = failed[0]
	}
	if interesting && f.Arbitration.weighs(marketingv1.Factor_FACTOR_CONTEXT) {
		c.Context = m.InterestBoost
	}
	if f.Arbitration.weighs(marketingv1.Factor_FACTOR_VALUE) {
		c.Value = float64(p.ValueCents) / 100
	}
	if f.Arbitration.weighs(marketingv1.Factor_FACTOR_LEVER) {
		c.Lever = p.Lever
	}
	if m.Learner == nil {
		c.Propensity = m.share(p)
		return c, contender{}
	}
	c.Failed = failed
	known := contender{belief: m.Learner.learn(p.BasePropensity, p.Learned, p.Situation)}
	known.weight = float64(times(c.GetContext(), c.GetValue()) * c.GetLever())
	c.LearnedRate = known.rate(0)
	c.LearnedLow, c.LearnedHigh = known.rate(-m.Learner.Quantile), known.rate(m.Learner.Quantile)
	if f.Arbitration.weighs(marketingv1.Factor_FACTOR_PROPENSITY) {
		c.Propensity = c.GetLearnedRate()
	}
	return c, known
}

// arbitrate gives those that passed every gate their priority, and tells how
// likely each was to come first.
func (m Model) arbitrate(r Rules, customer string, open []*marketingv1.Candidate, known []contender, seed uint64) marketingv1.Group {
	if m.Learner == nil {
		prioritise(open)
		return marketingv1.Group_GROUP_UNSPECIFIED
	}
	if share(customer) < r.ControlShare {
		for _, c := range open {
			c.Priority = newChance(seed, c.GetPropositionId()).uniform()
			c.FirstProbability = 1 / float64(len(open))
		}
		return marketingv1.Group_GROUP_CONTROL
	}
	if r.explores() {
		for i, likely := range firsts(known, m.Learner.Points) {
			c := open[i]
			c.Propensity = known[i].rate(newChance(seed, c.GetPropositionId()).normal())
			c.FirstProbability, c.FirstProbabilityError = likely.probability, likely.error
		}
	}
	prioritise(open)
	return marketingv1.Group_GROUP_ARBITRATED
}

// prioritise multiplies the factors. Each product is rounded by itself, in this
// order, on every machine.
func prioritise(open []*marketingv1.Candidate) {
	for _, c := range open {
		c.Priority = float64(float64(float64(c.GetPropensity()*c.GetContext())*c.GetValue()) * c.GetLever())
	}
}

// share starts at the base propensity and moves to the share of those who accepted
// as more are asked: what version 1 learned.
func (m Model) share(p Offered) float64 {
	accepted := times(m.PriorWeight, p.BasePropensity) + float64(p.Accepted)
	presented := m.PriorWeight + float64(p.Presented)
	return min(1, float64(accepted/presented))
}
