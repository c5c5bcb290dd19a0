// Package capacity tells lead management how much a channel can carry, hour by
// hour, and how busy it is.
//
//	capacity-<channel>:<hour>   one grant, for good
//	workload-<channel>          the last measurements
package capacity

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// hour is how long an interval is.
const hour = time.Hour

// Interval is the name of the hour that a time lies in, in UTC.
func Interval(at time.Time) string { return at.UTC().Format("2006-01-02T15") }

// Name names a grant: <channel>:<interval>.
func Name(channel journeyv1.Channel, interval string) string {
	return word(channel) + ":" + interval
}

// word is a channel's name in the names of streams: call-centre.
func word(channel journeyv1.Channel) string {
	name := strings.TrimPrefix(channel.String(), "CHANNEL_")
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

func grantStream(channel journeyv1.Channel, interval string) string {
	return "capacity-" + Name(channel, interval)
}

func workloadStream(channel journeyv1.Channel) string { return "workload-" + word(channel) }

// granted is what was granted for an interval; nil when nothing was.
type granted = *channelv1.CapacityGranted

// grants is the pure core of a grant.
var grants = decider.Decider[granted]{
	Initial: func() granted { return nil },
	Evolve: func(g granted, event proto.Message) granted {
		if e, ok := event.(granted); ok {
			return e
		}
		return g
	},
}

// Grant lets lead management use a channel for an hour.
type Grant struct {
	Channel  journeyv1.Channel
	StartsAt time.Time // on the hour
	Capacity uint32
}

// Decide decides it. Lead management may have spent a grant already, so it
// stands as it is.
func (c Grant) Decide(g granted) ([]proto.Message, error) {
	switch {
	case g == nil:
	case g.GetCapacity() == c.Capacity:
		return nil, nil
	default:
		return nil, fault.Precondition("the interval was granted before, with %d: a grant stands", g.GetCapacity()).WithReason("CAPACITY_GRANTED")
	}
	return []proto.Message{&channelv1.CapacityGranted{
		Channel: c.Channel, Interval: Interval(c.StartsAt), Capacity: c.Capacity,
		StartsAt: timestamppb.New(c.StartsAt), EndsAt: timestamppb.New(c.StartsAt.Add(hour)),
	}}, nil
}

// workloads is the pure core of workload: measurements that rest on nothing.
var workloads = decider.Decider[struct{}]{
	Initial: func() struct{} { return struct{}{} },
	Evolve:  func(s struct{}, _ proto.Message) struct{} { return s },
}

// Report tells how busy a channel is.
type Report struct {
	Channel journeyv1.Channel
	Waiting uint32
	At      time.Time
}

// Decide decides it. The same number at another time is another measurement.
func (c Report) Decide(struct{}) ([]proto.Message, error) {
	return []proto.Message{&channelv1.WorkloadReported{Channel: c.Channel, Waiting: c.Waiting, MeasuredAt: timestamppb.New(c.At)}}, nil
}
