package lead

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// The flows that lead management takes in.
const (
	flowLeads     = "outbound-leads"
	flowCapacity  = "channel-capacity"
	flowResults   = "dispatch-results"
	flowResponses = "lead-responses"
)

// Consumers take in the flows of lead management. The horizon is told of each
// lead that is accepted.
func Consumers(streams *decider.Streams, horizon *Horizon) ([]flow.Consumer, error) {
	r := reactions{streams, horizon}
	consumers := []flow.Consumer{
		{Flow: flows.Flow{Name: flowLeads}, Reactions: []flow.Reaction{
			{Name: "accept-lead", Takes: isWithdrawal(false), Answer: r.accept},
			{Name: "withdraw-lead", Takes: isWithdrawal(true), Answer: r.withdraw},
		}},
		{Flow: flows.Flow{Name: flowCapacity}, Schema: capacityTables, Project: projectCapacity},
		{Flow: flows.Flow{Name: flowResults}, Reactions: []flow.Reaction{{Name: "follow-dispatch", Takes: always, Answer: r.followDispatch}}},
		{Flow: flows.Flow{Name: flowResponses}, Reactions: []flow.Reaction{{Name: "follow-response", Takes: always, Answer: r.followResponse}}},
	}
	for i, c := range consumers {
		f, ok := flows.Find(c.Flow.Name)
		if !ok {
			return nil, fmt.Errorf("the catalogue has no flow %q", c.Flow.Name)
		}
		consumers[i].Flow = f
	}
	return consumers, nil
}

func always(codec.Event) bool { return true }

// isWithdrawal takes the events that withdraw a lead, or all others.
func isWithdrawal(is bool) func(codec.Event) bool {
	return func(e codec.Event) bool {
		_, withdraws := e.Message.(*marketingv1.LeadWithdrawn)
		return withdraws == is
	}
}

type reactions struct {
	streams *decider.Streams
	horizon *Horizon
}

// accept takes a lead over from marketing.
func (r reactions) accept(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
	issued, ok := cause.Message.(*marketingv1.LeadIssued)
	if !ok || issued.GetLeadId() == "" {
		return flow.Unprocessable(fmt.Errorf("%s names no lead", cause.Type))
	}
	accepted := &salesv1.LeadAccepted{
		LeadId: issued.GetLeadId(), CampaignId: issued.GetCampaignId(), CustomerId: issued.GetCustomerId(),
		PropositionId: issued.GetPropositionId(), Channel: issued.GetChannel(), Content: issued.GetContent(), Priority: issued.GetPriority(),
		IssuedAt: timestamp(cause.Created),
	}
	outcome, err := decider.Handle(ctx, r.streams, cause.Origin, Stream(accepted.GetLeadId()), Decider,
		func(s State) ([]proto.Message, error) { return Accept(s, accepted), nil })
	if err == nil {
		r.horizon.reach(outcome.Position)
	}
	return err
}

// withdraw ends a lead that marketing withdraws. The plan waits until the tables show
// it: else the lead would keep its place from one that waits.
func (r reactions) withdraw(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
	withdrawn, ok := cause.Message.(*marketingv1.LeadWithdrawn)
	if !ok || withdrawn.GetLeadId() == "" {
		return flow.Unprocessable(fmt.Errorf("%s names no lead", cause.Type))
	}
	command := Withdraw{LeadID: withdrawn.GetLeadId(), CustomerID: withdrawn.GetCustomerId(), Detail: why(withdrawn.GetReason()), HappenedAt: cause.Created}
	outcome, err := decider.Handle(ctx, r.streams, cause.Origin, Stream(command.LeadID), Decider,
		func(s State) ([]proto.Message, error) { return command.Decide(s), nil })
	if err == nil {
		r.horizon.reach(outcome.Position)
	}
	return err
}

// why is why a lead was withdrawn, in words.
func why(reason marketingv1.WithdrawalReason) string {
	if reason == marketingv1.WithdrawalReason_WITHDRAWAL_REASON_CAMPAIGN_STOPPED {
		return "its campaign was stopped"
	}
	return ""
}

// followDispatch follows a lead through what its channel did with the message.
func (r reactions) followDispatch(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
	var command Follow
	switch e := cause.Message.(type) {
	case *channelv1.MessageSent:
		command = Follow{LeadID: e.GetLeadId(), CustomerID: e.GetCustomerId(), To: statusSent}
	case *channelv1.MessageBounced:
		command = Follow{LeadID: e.GetLeadId(), To: statusFailed, Detail: e.GetReason()}
	case *channelv1.MessageRefused:
		command = Follow{LeadID: e.GetLeadId(), To: statusFailed, Detail: e.GetReason()}
	case *channelv1.MessageOutcomeUnknown:
		command = Follow{LeadID: e.GetLeadId(), To: statusFailed, Detail: e.GetReason()}
	}
	return r.follow(ctx, cause, command)
}

// followResponse follows a lead to what the customer said to it.
func (r reactions) followResponse(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
	recorded, ok := cause.Message.(*marketingv1.LeadResponseRecorded)
	if !ok {
		return flow.Unprocessable(fmt.Errorf("%s is no response to a lead", cause.Type))
	}
	to, detail := answered(recorded.GetAnswer())
	if channel := channelName(recorded.GetChannel()); channel != "" {
		detail += ", through " + channel
	}
	follow := Follow{LeadID: recorded.GetLeadId(), CustomerID: recorded.GetCustomerId(), To: to, Detail: detail, HappenedAt: cause.Created}
	return r.decide(ctx, cause, follow, Respond{Follow: follow, ContactID: recorded.GetContactId()}.Decide)
}

func (r reactions) follow(ctx context.Context, cause flow.Cause, command Follow) error {
	command.HappenedAt = cause.Created
	return r.decide(ctx, cause, command, command.Decide)
}

func (r reactions) decide(ctx context.Context, cause flow.Cause, command Follow, decide func(State) []proto.Message) error {
	if command.LeadID == "" || rank[command.To] == 0 {
		return flow.Unprocessable(fmt.Errorf("%s tells nothing of a lead", cause.Type))
	}
	_, err := decider.Handle(ctx, r.streams, cause.Origin, Stream(command.LeadID), Decider,
		func(s State) ([]proto.Message, error) { return decide(s), nil })
	return err
}

// channelName is a channel in words, such as call centre.
func channelName(c journeyv1.Channel) string {
	if c == journeyv1.Channel_CHANNEL_UNSPECIFIED {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(c.String(), "CHANNEL_")), "_", " ")
}
