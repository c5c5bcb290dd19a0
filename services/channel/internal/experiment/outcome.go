package experiment

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/eventkind"
)

// key is how an outcome is written in a column, to be compared with those that an
// event brings about.
func key(o *channelv1.Outcome) string {
	switch o.GetKind() {
	case channelv1.OutcomeKind_OUTCOME_KIND_EVENT_RECORDED:
		return outcomeOf("event", o.GetEventKind())
	case channelv1.OutcomeKind_OUTCOME_KIND_PROPOSITION_ACCEPTED:
		return outcomeOf("accepted", o.GetPropositionId())
	case channelv1.OutcomeKind_OUTCOME_KIND_REQUEST_SUBMITTED:
		if kind := o.GetRequestKind(); kind != 0 {
			return outcomeOf("request", kind.String())
		}
		return outcomeOf("request", "")
	}
	return ""
}

func outcomeOf(kind, which string) string { return kind + ":" + which }

// broughtAbout are the outcomes that an event of a contact brings about: the
// particular one, and any of its sort, where it has one.
func broughtAbout(event proto.Message) (contactID string, outcomes []string) {
	switch e := event.(type) {
	case *channelv1.PropositionPresented:
		return e.GetContactId(), []string{outcomeOf("event", eventkind.PropositionPresented)}
	case *channelv1.PropositionAnswered:
		outcomes = []string{outcomeOf("event", eventkind.PropositionAnswered)}
		if e.GetAnswer() == journeyv1.Answer_ANSWER_ACCEPTED {
			outcomes = append(outcomes, outcomeOf("accepted", e.GetPropositionId()), outcomeOf("accepted", ""))
		}
		return e.GetContactId(), outcomes
	case *channelv1.RequestSubmitted:
		return e.GetContactId(), []string{outcomeOf("request", e.GetKind().String()), outcomeOf("request", "")}
	case *channelv1.InterestShown:
		return e.GetContactId(), []string{outcomeOf("event", eventkind.InterestShown)}
	case *channelv1.BannerClicked:
		return e.GetContactId(), []string{outcomeOf("event", eventkind.BannerClicked)}
	case *channelv1.CommercialEventRecorded:
		return e.GetContactId(), []string{outcomeOf("event", e.GetKind())}
	}
	return "", nil
}
