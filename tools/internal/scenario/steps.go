package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"

	"github.com/triangle-suite/triangle/services/await"
)

// takeSteps has the visitor show interest, put off one proposition and accept
// another; each time the very next list has to follow.
func (p *play) takeSteps(ctx context.Context) (string, error) {
	for _, next := range []func(context.Context) error{p.showInterest, p.putOff, p.accept} {
		if err := next(ctx); err != nil {
			return "", err
		}
	}
	return "interest, later, accepted: three events, three new lists", nil
}

// showInterest picks what the list has last, so that the list has to change.
func (p *play) showInterest(ctx context.Context) error {
	before := p.visitor.actions.GetActions()
	target := before[len(before)-1].GetPropositionId()
	topic := p.propositions[target].GetTopic()
	was, err := p.explained(ctx, p.visitor.contact, target)
	if err != nil {
		return err
	}
	if p.visitor.actions, err = p.record(ctx, "interest", p.visitor.contact, interest(topic)); err != nil {
		return err
	}
	is, err := p.explained(ctx, p.visitor.contact, target)
	if err != nil {
		return err
	}
	p.knew(Channel, "the visitor looks at %s; now: %s", topic, named(p.visitor.actions.GetActions()))
	p.knew(Marketing, "%s fits %g times as well; its priority went from %.1f to %.1f", p.propositions[target].GetName(),
		is.GetContext()/was.GetContext(), was.GetPriority(), is.GetPriority())
	// By how much the priority grows is left to chance, as the propensity is drawn.
	if is.GetContext() <= was.GetContext() || same(before, p.visitor.actions.GetActions()) {
		return fmt.Errorf("interest in %s did not change the list", topic)
	}
	return nil
}

// explained returns how the last decision for a contact looked at a proposition.
func (p *play) explained(ctx context.Context, contact, proposition string) (candidate *marketingv1.Candidate, err error) {
	err = p.until(ctx, "marketing explains its decision", func(ctx context.Context) error {
		decision, err := p.decision(ctx, contact)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(decision.GetCandidates(), func(c *marketingv1.Candidate) bool { return c.GetPropositionId() == proposition })
		if i < 0 {
			return fmt.Errorf("the decision did not look at %s", proposition)
		}
		candidate = decision.GetCandidates()[i]
		return nil
	})
	return candidate, err
}

// decision returns the decision behind the last list that the channel had.
func (p *play) decision(ctx context.Context, contact string) (*marketingv1.GetDecisionResponse, error) {
	decision, err := p.Services.Marketing.GetDecision(ctx, &marketingv1.GetDecisionRequest{ContactId: contact})
	if err == nil && decision.GetDecisionId() != p.decided[contact] {
		return nil, await.NotYetf("marketing tells of decision %s, the channel of %s", decision.GetDecisionId(), p.decided[contact])
	}
	return decision, err
}

// putOff answers the best proposition with "later".
func (p *play) putOff(ctx context.Context) error {
	first := p.visitor.actions.GetActions()[0]
	before := p.decided[p.visitor.contact]
	if err := p.present(ctx, "present-first", p.visitor.contact, first.GetPropositionId()); err != nil {
		return err
	}
	actions, err := p.record(ctx, "later", p.visitor.contact, answer(first.GetPropositionId(), journeyv1.Answer_ANSWER_LATER))
	if err != nil {
		return err
	}
	if p.decided[p.visitor.contact] == before {
		return errors.New("the answer led to no new decision")
	}
	p.visitor.actions = actions
	p.knew(Channel, "%q: later; now: %s", first.GetName(), named(actions.GetActions()))
	return nil
}

// accept accepts the best of what was not put off, save what the campaign offers
// later: who has accepted that is not called.
func (p *play) accept(ctx context.Context) error {
	actions := p.visitor.actions.GetActions()
	if len(actions) == 0 {
		return errors.New("nothing is left to offer")
	}
	wanted := actions[0]
	for _, a := range slices.Backward(actions[1:]) {
		if a.GetPropositionId() != campaignOffer {
			wanted = a
		}
	}
	if err := p.present(ctx, "present-second", p.visitor.contact, wanted.GetPropositionId()); err != nil {
		return err
	}
	next, err := p.record(ctx, "accept", p.visitor.contact, answer(wanted.GetPropositionId(), journeyv1.Answer_ANSWER_ACCEPTED))
	if err != nil {
		return err
	}
	if offered(next.GetActions(), wanted.GetPropositionId()) {
		return fmt.Errorf("%s was accepted, and is offered again", wanted.GetPropositionId())
	}
	p.visitor.actions = next
	p.knew(Channel, "%q: accepted; now: %s", wanted.GetName(), named(next.GetActions()))
	return nil
}

func offered(actions []*journeyv1.NextBestAction, proposition string) bool {
	return slices.ContainsFunc(actions, func(a *journeyv1.NextBestAction) bool { return a.GetPropositionId() == proposition })
}

// same tells whether two lists offer the same, at the same priorities.
func same(a, b []*journeyv1.NextBestAction) bool {
	return slices.EqualFunc(a, b, func(a, b *journeyv1.NextBestAction) bool {
		return a.GetPropositionId() == b.GetPropositionId() && a.GetPriority() == b.GetPriority()
	})
}
