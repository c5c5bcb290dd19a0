package contact

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/nba"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// HandOver has a contact go on in another channel: what was begun on the website
// is finished in the call centre.
type HandOver struct {
	To              journeyv1.Channel
	AgentID, Reason string // empty where nobody says
	At              time.Time
}

// Decide decides it.
func (c HandOver) Decide(s State) ([]proto.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if s.Channel == c.To {
		return nil, fault.Precondition("the contact is in this channel already: go on with it").WithReason("CONTACT_IN_CHANNEL")
	}
	return []proto.Message{&channelv1.ContactHandedOver{
		ContactId: s.ID, CustomerId: s.CustomerID, From: s.Channel, To: c.To,
		AgentId: c.AgentID, Reason: c.Reason, HandedOverAt: timestamppb.New(c.At),
	}}, nil
}

// HandOverContact has a contact go on in another channel, and waits, within the
// budget, for the list that marketing decides for that channel.
func (a *API) HandOverContact(ctx context.Context, request *channelv1.HandOverContactRequest) (*channelv1.HandOverContactResponse, error) {
	var checks call.Checks
	id := checks.Required("contact_id", request.GetContactId())
	call.Known(&checks, "to", request.GetTo(), journeyv1.Channel_name)
	handOver := HandOver{
		To: request.GetTo(), AgentID: checks.Optional("agent_id", request.GetAgentId()), Reason: checks.OptionalText("reason", request.GetReason()),
	}
	budget, by := checks.Wait("wait", request.GetWait()), CheckVisitor(&checks, request.GetVisitor())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_HandOverContact_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	handOver.At = origin.Time
	outcome, err := a.handle(ctx, origin, id, by.Takes(handOver))
	if err != nil {
		return nil, err
	}
	var path []string // none where marketing decides nothing, not knowing whom for
	if outcome.State.CustomerID != "" {
		path = nba.PathOfEvents
	}
	k, err := a.meet(ctx, outcome, origin, path, unidentified, budget)
	if err != nil {
		return nil, err
	}
	return &channelv1.HandOverContactResponse{
		Contact: k.contact, Customer: k.customer, NextBestActions: k.actions, Freshness: a.freshness(), History: outcome.State.History,
	}, nil
}
