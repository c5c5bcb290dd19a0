package experiment

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// The kinds of commercial events that have an event type of their own.
const (
	interestShown = "interest-shown"
	bannerClicked = "banner-clicked"
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
	case *channelv1.PropositionAnswered:
		if e.GetAnswer() == journeyv1.Answer_ANSWER_ACCEPTED {
			return e.GetContactId(), []string{outcomeOf("accepted", e.GetPropositionId()), outcomeOf("accepted", "")}
		}
	case *channelv1.RequestSubmitted:
		return e.GetContactId(), []string{outcomeOf("request", e.GetKind().String()), outcomeOf("request", "")}
	case *channelv1.InterestShown:
		return e.GetContactId(), []string{outcomeOf("event", interestShown)}
	case *channelv1.BannerClicked:
		return e.GetContactId(), []string{outcomeOf("event", bannerClicked)}
	}
	return "", nil
}
