package contact

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/eventkind"
)

// stepOf is the step that an event stands for, as whoever takes the contact over
// reads it; nil where it stands for none.
func stepOf(event proto.Message) *channelv1.Step {
	switch e := event.(type) {
	case *channelv1.IdentityClaimed:
		return &channelv1.Step{Kind: "identity-claimed"}
	case *channelv1.PropositionPresented:
		return &channelv1.Step{Kind: eventkind.PropositionPresented, About: e.GetPropositionId()}
	case *channelv1.PropositionAnswered:
		return &channelv1.Step{Kind: eventkind.PropositionAnswered, About: e.GetPropositionId(), Answer: e.GetAnswer()}
	case *channelv1.InterestShown:
		return &channelv1.Step{Kind: eventkind.InterestShown, About: e.GetTopic()}
	case *channelv1.BannerClicked:
		return &channelv1.Step{Kind: eventkind.BannerClicked, About: e.GetPropositionId()}
	case *channelv1.CommercialEventRecorded:
		return &channelv1.Step{Kind: e.GetKind()}
	case *channelv1.LeadResponseReceived:
		return &channelv1.Step{Kind: "lead-answered", About: e.GetLeadId(), Answer: e.GetAnswer()}
	case *channelv1.RequestSubmitted:
		return &channelv1.Step{Kind: "request-submitted", About: e.GetRequestId()}
	case *channelv1.ContactHandedOver:
		return &channelv1.Step{Kind: "handed-over", Reason: e.GetReason()}
	}
	return nil
}
