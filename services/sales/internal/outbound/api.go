package outbound

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Planning is the API's call that plans.
type Planning struct {
	Streams *decider.Streams
	// Origins makes the origins of calls.
	Origins call.Origins
}

// PlanOutbound says how much outbound work a channel holds.
func (a *Planning) PlanOutbound(ctx context.Context, req *salesv1.PlanOutboundRequest) (*salesv1.PlanOutboundResponse, error) {
	planned, err := check(req)
	if err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, salesv1.SalesService_PlanOutbound_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream(planned.GetChannel()), Decider,
		func(p Plan) ([]proto.Message, error) { return Decide(p, planned), nil })
	if err != nil {
		return nil, err
	}
	return &salesv1.PlanOutboundResponse{}, nil
}

// The bounds of a plan.
const (
	maxAgents       = 10_000
	maxPerHour      = 1_000_000
	longestHandling = 24 * time.Hour
	longestPatience = 10 * 365 * 24 * time.Hour
)

func check(req *salesv1.PlanOutboundRequest) (*salesv1.OutboundPlanned, error) {
	var checks call.Checks
	checks.Outbound("channel", req.GetChannel())
	calls := req.GetChannel() == journeyv1.Channel_CHANNEL_CALL_CENTRE
	checks.That(req.GetCalls() == nil || calls, "calls", "must be left out: only the call centre calls")
	checks.That(req.GetMailing() == nil || !calls, "mailing", "must be left out: the call centre sends no messages")
	if c := req.GetCalls(); c != nil && calls {
		checkCalls(&checks, c)
	}
	checks.That(req.GetMailing().GetPerHour() <= maxPerHour, "mailing.per_hour", "must be at most %d", maxPerHour)
	if req.GetExpiresAfter() != nil {
		checkDuration(&checks, "expires_after", req.GetExpiresAfter(), time.Second, longestPatience)
	}
	return &salesv1.OutboundPlanned{
		Channel: req.GetChannel(), Calls: req.GetCalls(), Mailing: req.GetMailing(), ExpiresAfter: req.GetExpiresAfter(),
	}, checks.Err()
}

func checkCalls(checks *call.Checks, c *salesv1.Calls) {
	checks.That(c.GetAgents() <= maxAgents, "calls.agents", "must be at most %d", maxAgents)
	checkDuration(checks, "calls.handling_time", c.GetHandlingTime(), time.Second, longestHandling)
	perHour := c.GetInboundPerHour()
	checks.That(perHour >= 0 && perHour <= maxPerHour, "calls.inbound_per_hour", "must be from 0 to %d", maxPerHour)
	if perHour == 0 {
		return
	}
	checkDuration(checks, "calls.inbound_handling_time", c.GetInboundHandlingTime(), time.Second, longestHandling)
	checkDuration(checks, "calls.answered_within", c.GetAnsweredWithin(), 0, longestHandling)
	share := c.GetServiceLevel()
	checks.That(share > 0 && share < 1, "calls.service_level", "must be above 0 and below 1, such as 0.8")
}

func checkDuration(checks *call.Checks, field string, d *durationpb.Duration, least, most time.Duration) {
	if d == nil {
		checks.Fail(field, "is missing")
		return
	}
	checks.That(d.IsValid() && d.AsDuration() >= least && d.AsDuration() <= most, field, "must be from %s to %s", least, most)
}
