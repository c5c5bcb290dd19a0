// Package outbound is how outbound work is planned, channel by channel: how much
// an interval holds, and how long a lead may wait for it.
//
//	Calls:   agents, less those whom the calls that come in need ─┐
//	Mailing: a rate                                               ├─▶ Fits ─▶ lead planning
//	workload at the beginning of the interval ────────────────────┘
//
// A plan never makes more of a grant than the channel has granted. A channel
// without a plan is used up to its grants, and its leads wait for ever.
package outbound

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/sales/internal/workforce"
)

// Plan is a channel's plan; nil when there is none.
type Plan = *salesv1.OutboundPlanned

// Decider folds outbound-<channel>.
var Decider = decider.Decider[Plan]{
	Initial: func() Plan { return nil },
	Evolve: func(p Plan, event proto.Message) Plan {
		if planned, ok := event.(Plan); ok {
			return planned
		}
		return p
	},
}

// Stream is the stream of a channel's plans, such as outbound-call-centre.
func Stream(channel journeyv1.Channel) string {
	name := strings.TrimPrefix(channel.String(), "CHANNEL_")
	return "outbound-" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

// Decide replaces a channel's plan, unless nothing changes.
func Decide(p Plan, planned *salesv1.OutboundPlanned) []proto.Message {
	if proto.Equal(p, planned) {
		return nil
	}
	return []proto.Message{planned}
}

// Staff shares the agents of a plan of calls out: as many as the calls that come
// in need stay with them, and the others call out. Where all of them are not
// enough, nobody calls out, and the error says why: workforce.ErrTooFew or
// workforce.ErrUnstable.
func Staff(calls *salesv1.Calls) (inbound, free int, err error) {
	agents := int(calls.GetAgents())
	target := workforce.Target{Share: calls.GetServiceLevel(), Within: calls.GetAnsweredWithin().AsDuration()}
	inbound, err = workforce.Needed(InboundLoad(calls), calls.GetInboundHandlingTime().AsDuration(), target, agents)
	if err != nil {
		return agents, 0, err
	}
	return inbound, agents - inbound, nil
}

// InboundLoad is the load of the calls that come in, in erlang.
func InboundLoad(calls *salesv1.Calls) float64 {
	return workforce.Load(calls.GetInboundPerHour(), calls.GetInboundHandlingTime().AsDuration())
}

// Fits is how many messages or calls an interval holds in which so much work
// waited when it began. An agent makes whole calls: what is left of the interval
// after the last one is nobody's. Without a plan nothing but the grant bounds it.
func Fits(p Plan, length time.Duration, waiting uint32) uint32 {
	var holds int64
	switch {
	case p.GetCalls() != nil:
		_, free, _ := Staff(p.GetCalls()) //nolint:errcheck // where it fails nobody is free
		holds = int64(free) * int64(length/p.GetCalls().GetHandlingTime().AsDuration())
	case p.GetMailing() != nil:
		perHour := int64(p.GetMailing().GetPerHour())
		holds = perHour*int64(length/time.Hour) + perHour*int64(length%time.Hour)/int64(time.Hour)
	default:
		return math.MaxUint32
	}
	return uint32(min(max(0, holds-int64(waiting)), math.MaxUint32)) //nolint:gosec // it is within the bounds
}

// Patience is how long a lead may wait for capacity, and whether there is an end
// to it.
func Patience(p Plan) (patience time.Duration, ends bool) {
	return p.GetExpiresAfter().AsDuration(), p.GetExpiresAfter() != nil
}
