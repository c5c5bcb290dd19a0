package lead

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/sales/internal/outbound"
	"github.com/triangle-suite/triangle/services/sales/internal/workforce"
)

// GetOutbound tells how a channel's outbound work stands: its plan, what its
// grants come to, and what waits.
func (a *Leads) GetOutbound(ctx context.Context, req *salesv1.GetOutboundRequest) (*salesv1.GetOutboundResponse, error) {
	var checks call.Checks
	checks.Outbound("channel", req.GetChannel())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	fresh := a.freshness() // before reading: the answer is no older
	plan, _, err := decider.Load(ctx, a.Streams, outbound.Stream(req.GetChannel()), outbound.Decider)
	if err != nil {
		return nil, err
	}
	response := &salesv1.GetOutboundResponse{
		Calls: plan.GetCalls(), Mailing: plan.GetMailing(), ExpiresAfter: plan.GetExpiresAfter(), Freshness: fresh,
	}
	if plan.GetCalls() != nil {
		response.Staffing = staffing(plan.GetCalls())
	}
	if response.Grants, err = a.grantsOf(ctx, req.GetChannel(), plan); err != nil {
		return nil, err
	}
	response.Waiting, response.WaitingSince, err = a.waitingFor(ctx, req.GetChannel())
	return response, err
}

// staffing is what a plan of calls comes to.
func staffing(calls *salesv1.Calls) *salesv1.Staffing {
	inbound, free, err := outbound.Staff(calls)
	s := &salesv1.Staffing{
		InboundAgents: uint32(inbound), OutboundAgents: uint32(free), //nolint:gosec // as many as there are at most
		InboundLoad: outbound.InboundLoad(calls), Sufficiency: sufficiency(err),
	}
	queue := workforce.Queue{Load: s.InboundLoad, Handling: calls.GetInboundHandlingTime().AsDuration(), Agents: inbound}
	answering, err := queue.Answering()
	if err != nil {
		return s // no call comes in, or there is no end to the queue
	}
	s.WaitingProbability, s.Occupancy = answering.Waiting, answering.Occupancy()
	s.ServiceLevel = answering.ServiceLevel(calls.GetAnsweredWithin().AsDuration())
	s.MeanWait = durationpb.New(answering.MeanWait())
	return s
}

func sufficiency(err error) salesv1.Sufficiency {
	switch {
	case err == nil:
		return salesv1.Sufficiency_SUFFICIENCY_ENOUGH
	case errors.Is(err, workforce.ErrUnstable):
		return salesv1.Sufficiency_SUFFICIENCY_UNSTABLE
	default:
		return salesv1.Sufficiency_SUFFICIENCY_TOO_FEW
	}
}

// grantsOf returns a channel's grants that are not over.
func (a *Leads) grantsOf(ctx context.Context, channel journeyv1.Channel, plan outbound.Plan) (shown []*salesv1.Grant, err error) {
	plans := outbound.Plans{}
	if plan != nil {
		plans[channel] = plan
	}
	all, err := loadGrants(ctx, a.DB, a.Now().UTC(), plans)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		if g.Channel != channel {
			continue
		}
		spent, _, err := decider.Load(ctx, a.Streams, grantStream(g.Name), grantDecider)
		if err != nil {
			return nil, err
		}
		shown = append(shown, &salesv1.Grant{
			Grant: g.Name, Granted: g.Granted, Fits: g.Capacity, Spent: uint32(len(spent)), //nolint:gosec // no more than granted
			StartsAt: timestamppb.New(g.StartsAt), EndsAt: timestamppb.New(g.EndsAt),
		})
	}
	return shown, nil
}

// waitingFor counts a channel's leads that wait, and tells since when.
func (a *Leads) waitingFor(ctx context.Context, channel journeyv1.Channel) (n uint64, since *timestamppb.Timestamp, err error) {
	var oldest sql.NullInt64
	err = a.DB.QueryRow(ctx, `SELECT count(*), min(accepted_at) FROM lead WHERE status = ? AND channel = ?`,
		int32(statusAccepted), int32(channel)).Scan(&n, &oldest)
	if err != nil {
		return 0, nil, fmt.Errorf("count the leads that wait: %w", err)
	}
	if oldest.Valid {
		since = timestamppb.New(time.Unix(0, oldest.Int64))
	}
	return n, since, nil
}
