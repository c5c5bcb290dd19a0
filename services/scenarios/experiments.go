package scenarios

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

var experimentCommands = []command{
	{form: "experiment EXPERIMENT compares VARIANT with OTHER", do: (*play).defineExperiment},
	{form: "experiment EXPERIMENT ends", do: (*play).endExperiment},
	{form: "visitor NAME is shown EXPERIMENT", do: (*play).showVariant},
	{form: "COUNT visitors are shown EXPERIMENT", do: (*play).showToMany},
	{form: "result of EXPERIMENT", do: (*play).showResult, again: true},
}

func (p *play) defineExperiment(ctx context.Context, w words) (string, error) {
	_, err := p.Services.Channel.DefineExperiment(p.keyed(ctx), &channelv1.DefineExperimentRequest{Experiment: &channelv1.Experiment{
		ExperimentId: p.names.own(w.said["EXPERIMENT"]),
		Variants:     []*channelv1.Variant{{VariantId: w.said["VARIANT"], Weight: 1}, {VariantId: w.said["OTHER"], Weight: 1}},
		Outcome:      &channelv1.Outcome{Kind: channelv1.OutcomeKind_OUTCOME_KIND_EVENT_RECORDED, EventKind: p.names.own(w.Get("by"))},
		ExpectedRate: 0.1,
	}})
	return "it runs", err
}

func (p *play) endExperiment(ctx context.Context, w words) (string, error) {
	_, err := p.Services.Channel.EndExperiment(p.keyed(ctx), &channelv1.EndExperimentRequest{ExperimentId: p.names.own(w.said["EXPERIMENT"])})
	return "nobody is newly assigned", err
}

// showVariant tells whether a visitor sees what they saw before. Which one that is
// is drawn, and differs from world to world.
func (p *play) showVariant(ctx context.Context, w words) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	shown, err := p.Services.Channel.ShowVariant(p.keyed(ctx), &channelv1.ShowVariantRequest{
		ContactId: who.contact, ExperimentId: p.names.own(w.said["EXPERIMENT"]),
	})
	if err != nil {
		return "", err
	}
	key := w.said["EXPERIMENT"] + " for " + who.name
	before, again := p.variants[key]
	p.variants[key] = shown.GetVariantId()
	switch {
	case !again:
		return "one of the two", nil
	case before == shown.GetVariantId():
		return "the same as before", nil
	default:
		return fmt.Sprintf("%s, and before it was %s", shown.GetVariantId(), before), nil
	}
}

// showToMany has visitors come to the website, who are shown a variant and leave.
func (p *play) showToMany(ctx context.Context, w words) (string, error) {
	count, err := strconv.Atoi(w.said["COUNT"])
	if err != nil {
		return "", fmt.Errorf("%q is no number: %w", w.said["COUNT"], err)
	}
	for i := range count {
		started, err := p.Services.Channel.StartContact(p.keyed(ctx), &channelv1.StartContactRequest{
			Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: p.names.own(fmt.Sprintf("visitor-%d-%d", p.step, i+1)),
		})
		if err != nil {
			return "", err
		}
		contact := started.GetContact().GetContactId()
		_, err = p.Services.Channel.ShowVariant(p.keyed(ctx), &channelv1.ShowVariantRequest{
			ContactId: contact, ExperimentId: p.names.own(w.said["EXPERIMENT"]),
		})
		if err != nil {
			return "", err
		}
		_, err = p.Services.Channel.EndContact(p.keyed(ctx), &channelv1.EndContactRequest{
			ContactId: contact, Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_HANDLED,
		})
		if err != nil {
			return "", err
		}
	}
	return "each one of the two, and they have left", nil
}

// showResult sums over the variants, as each visitor's is drawn.
func (p *play) showResult(ctx context.Context, w words) (string, error) {
	found, err := p.Services.Channel.GetExperiment(ctx, &channelv1.GetExperimentRequest{ExperimentId: p.names.own(w.said["EXPERIMENT"])})
	if err != nil {
		return "", err
	}
	var names []string
	var exposed, finished, outcomes uint64
	difference := "no difference is told yet"
	for _, v := range found.GetResult().GetVariants() {
		names = append(names, v.GetVariantId())
		exposed, finished, outcomes = exposed+v.GetExposed(), finished+v.GetFinished(), outcomes+v.GetOutcomes()
		if d := v.GetDifference(); d != nil {
			difference = fmt.Sprintf("the difference has an interval, and is %s", word(d.GetVerdict()))
		}
	}
	return fmt.Sprintf("%s, %s: %s, %d done, with %s; %s", strings.Join(names, " and "), word(found.GetResult().GetState()),
		several(int(exposed), "visitor"), finished, several(int(outcomes), "outcome"), difference), nil
}
