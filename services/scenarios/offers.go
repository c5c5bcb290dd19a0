package scenarios

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"

	"github.com/triangle-suite/triangle/services/await"
)

var offerCommands = []command{
	{form: "marketing offers PROPOSITION", do: (*play).offer},
	{form: "marketing leaves nothing to chance", do: (*play).withoutChance},
	{form: "marketing allows MOST approaches through CHANNEL within HOURS hours", do: (*play).limit},
	{form: "decision for NAME", do: (*play).showDecision, again: true},
	{form: "decision for NAME is replayed", do: (*play).showReplay, again: true},
	{form: "marketing knows NAME", do: (*play).showProfile, again: true},
	{form: "marketing calls customers SEGMENT", do: (*play).defineSegment},
	{form: "reach of a rule", do: (*play).showReach, again: true},
}

// sorted returns the keys of a map in their order.
func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// offer defines a proposition. What it says in each channel stands below the line:
// website: See it.
func (p *play) offer(ctx context.Context, w words) (string, error) {
	id := p.names.own(w.said["PROPOSITION"])
	proposition := &marketingv1.Proposition{PropositionId: id, Name: w.said["PROPOSITION"], Topic: w.Get("topic"), Lever: 1}
	var err error
	if proposition.Purpose, err = value[marketingv1.Purpose](w.Get("purpose")); err != nil {
		return "", err
	}
	if proposition.ValueCents, err = cents(w.Get("value")); err != nil {
		return "", err
	}
	if proposition.BasePropensity, err = strconv.ParseFloat(w.Get("propensity"), 64); err != nil {
		return "", fmt.Errorf("propensity is no number: %w", err)
	}
	for line := range strings.Lines(w.Input) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		channel, err := value[journeyv1.Channel](name)
		if err != nil {
			return "", err
		}
		proposition.Contents = append(proposition.Contents, &marketingv1.Content{Channel: channel, Text: text})
	}
	if _, err := p.Services.Marketing.DefineProposition(p.keyed(ctx), &marketingv1.DefinePropositionRequest{Proposition: proposition}); err != nil {
		return "", err
	}
	return "it is in the catalogue", p.until(ctx, "the catalogue has "+id, func(ctx context.Context) error {
		all, err := p.Services.Marketing.ListPropositions(ctx, &marketingv1.ListPropositionsRequest{})
		if err != nil {
			return err
		}
		isThere := func(p *marketingv1.Proposition) bool {
			return p.GetPropositionId() == id && slices.EqualFunc(p.GetContents(), proposition.GetContents(), sameWords)
		}
		if !slices.ContainsFunc(all.GetPropositions(), isThere) {
			return await.NotYetf("it has %d others", len(all.GetPropositions()))
		}
		return nil
	})
}

func sameWords(a, b *marketingv1.Content) bool {
	return a.GetChannel() == b.GetChannel() && a.GetText() == b.GetText()
}

func (p *play) withoutChance(ctx context.Context, _ words) (string, error) {
	return "lists are ranked by what was learned alone", p.arbitrate(ctx, &marketingv1.Arbitration{})
}

func (p *play) limit(ctx context.Context, w words) (string, error) {
	most, errMost := strconv.ParseUint(w.said["MOST"], 10, 32)
	hours, errHours := strconv.ParseUint(w.said["HOURS"], 10, 32)
	channel, err := value[journeyv1.Channel](w.said["CHANNEL"])
	if err != nil || errMost != nil || errHours != nil {
		return "", fmt.Errorf("a limit is a number of approaches, a channel and a number of hours")
	}
	return "limited", p.arbitrate(ctx, &marketingv1.Arbitration{
		Limits: []*marketingv1.ContactLimit{{Channel: channel, Hours: uint32(hours), Most: uint32(most)}},
	})
}

// arbitrate says how lists are made: without chance, so that they are the same in
// every world.
func (p *play) arbitrate(ctx context.Context, a *marketingv1.Arbitration) error {
	a.Exploration = marketingv1.Exploration_EXPLORATION_OFF
	if _, err := p.Services.Marketing.ConfigureArbitration(p.keyed(ctx), &marketingv1.ConfigureArbitrationRequest{Arbitration: a}); err != nil {
		return err
	}
	return p.until(ctx, "decisions are made so", func(ctx context.Context) error {
		now, err := p.Services.Marketing.GetArbitration(ctx, &marketingv1.GetArbitrationRequest{})
		if err == nil && (now.GetArbitration().GetExploration() != a.GetExploration() || len(now.GetArbitration().GetLimits()) != len(a.GetLimits())) {
			return await.NotYetf("they are made as before")
		}
		return err
	})
}

func (p *play) decision(ctx context.Context, w words) (*marketingv1.GetDecisionResponse, error) {
	who, err := p.inContact(w)
	if err != nil {
		return nil, err
	}
	return p.Services.Marketing.GetDecision(ctx, &marketingv1.GetDecisionRequest{ContactId: who.contact, DecisionId: who.decision})
}

// showDecision shows why a list is as it is.
func (p *play) showDecision(ctx context.Context, w words) (string, error) {
	d, err := p.decision(ctx, w)
	if err != nil {
		return "", err
	}
	listed := map[string]int{}
	for i, a := range d.GetActions() {
		listed[a.GetPropositionId()] = i + 1
	}
	candidates := map[string]*marketingv1.Candidate{}
	for _, c := range d.GetCandidates() {
		key := fmt.Sprintf("%02d", listed[c.GetPropositionId()])
		if listed[c.GetPropositionId()] == 0 {
			key = "left out " + c.GetPropositionId()
		}
		candidates[key] = c
	}
	var b strings.Builder
	for _, key := range sorted(candidates) {
		c := candidates[key]
		if at := listed[c.GetPropositionId()]; at > 0 {
			fmt.Fprintf(&b, "%d %s: propensity %.3f × context %g × value %g × lever %g = %.2f\n", at, c.GetPropositionId(),
				c.GetPropensity(), c.GetContext(), c.GetValue(), c.GetLever(), c.GetPriority())
		} else {
			fmt.Fprintf(&b, "- %s does not pass %s\n", c.GetPropositionId(), word(c.GetGate()))
		}
	}
	for _, name := range flowsOf(w) {
		b.WriteString(restedOn(name, d.GetRestedOn()))
	}
	return b.String(), nil
}

func flowsOf(w words) []string { return w.List("rested-on") }

// restedOn tells at which cadence a flow was and, behind a closed gate, whether
// something of it was still to be taken in.
func restedOn(name string, all []*flowv1.Freshness) string {
	for _, f := range all {
		switch {
		case f.GetFlow() != name:
		case f.GetCadence() == flows.RealTime:
			return fmt.Sprintf("it rested on %s in real time\n", name)
		case f.GetStaleness().AsDuration() > 0:
			return fmt.Sprintf("it rested on %s, %s and behind\n", name, f.GetCadence())
		default:
			return fmt.Sprintf("it rested on %s, %s and caught up\n", name, f.GetCadence())
		}
	}
	return fmt.Sprintf("it did not rest on %s\n", name)
}

func (p *play) showReplay(ctx context.Context, w words) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	replayed, err := p.Services.Marketing.GetReplay(ctx, &marketingv1.GetReplayRequest{ContactId: who.contact, DecisionId: who.decision})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, with %s%s", word(replayed.GetOutcome()), several(int(replayed.GetCandidates()), "candidate"), replayed.GetDifference()), nil
}

// showProfile shows a customer as marketing sees them.
func (p *play) showProfile(ctx context.Context, w words) (string, error) {
	who, err := p.customer(w)
	if err != nil {
		return "", err
	}
	profile, err := p.Services.Marketing.GetProfile(ctx, &marketingv1.GetProfileRequest{CustomerId: who.customer})
	if err != nil {
		return "", err
	}
	shown := fmt.Sprintf("%s, %s; %s", several(int(profile.GetOrders()), "order"), money(profile.GetSpentCents()),
		several(int(profile.GetOpenComplaints()), "open complaint"))
	if interests := profile.GetInterests(); len(interests) > 0 {
		shown += "; interested in " + strings.Join(interests, ", ")
	}
	if segments := profile.GetSegments(); len(segments) > 0 {
		shown += "; in " + strings.Join(segments, ", ")
	}
	for _, f := range profile.GetFreshness() {
		if slices.Contains(w.List("behind"), f.GetFlow()) && f.GetStaleness().AsDuration() > 0 {
			shown += fmt.Sprintf("; %s, %s, is behind", f.GetFlow(), f.GetCadence())
		}
	}
	return shown, nil
}

func (p *play) defineSegment(ctx context.Context, w words) (string, error) {
	name := w.said["SEGMENT"]
	_, err := p.Services.Marketing.DefineSegment(p.keyed(ctx), &marketingv1.DefineSegmentRequest{Segment: &marketingv1.Segment{
		SegmentId: p.names.own(name), Name: name, Rule: p.rule(w.Input),
	}})
	return "it is a segment", err
}

// rule is a rule on the text's own propositions, which it writes as <<box-set>>.
func (p *play) rule(text string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "<<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, rest, _ := strings.Cut(after, ">>")
		b.WriteString(p.names.own(name))
		text = rest
	}
}

func (p *play) showReach(ctx context.Context, w words) (string, error) {
	reach, err := p.Services.Marketing.GetReach(ctx, &marketingv1.GetReachRequest{Rule: p.rule(w.Input)})
	if shown, ok := refusal(err); ok {
		return shown, nil
	}
	return fmt.Sprintf("%d of %s", reach.GetCustomers(), several(int(reach.GetKnown()), "customer")), err
}
