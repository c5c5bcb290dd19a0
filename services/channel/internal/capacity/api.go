package capacity

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

const (
	maxCapacity   = 1_000_000
	workloadsKept = 100
)

// API is the part of the channel's API that is about capacity.
type API struct {
	Streams *decider.Streams
	Origins call.Origins

	bounded sync.Map // workload streams that are bounded, by name
}

// GrantCapacity lets lead management use a channel for an interval.
func (a *API) GrantCapacity(ctx context.Context, request *channelv1.GrantCapacityRequest) (*channelv1.GrantCapacityResponse, error) {
	var checks call.Checks
	checks.Outbound("channel", request.GetChannel())
	if n := request.GetCapacity(); n == 0 || n > maxCapacity {
		checks.Fail("capacity", "must be from 1 to %d", maxCapacity)
	}
	startsAt := request.GetStartsAt().AsTime()
	if at := request.GetStartsAt(); at != nil && (!at.IsValid() || !startsAt.Equal(startsAt.Truncate(hour))) {
		checks.Fail("starts_at", "must be on the hour, in UTC, such as 2026-11-21T14:00:00Z")
	}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_GrantCapacity_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	grant := Grant{Channel: request.GetChannel(), StartsAt: startsAt, Capacity: request.GetCapacity()}
	if request.GetStartsAt() == nil {
		if grant.StartsAt, err = a.thisHour(ctx, origin, grant.Channel); err != nil {
			return nil, err
		}
	}
	interval := Interval(grant.StartsAt)
	if _, err := decider.Handle(ctx, a.Streams, origin, grantStream(grant.Channel, interval), grants, grant.Decide); err != nil {
		return nil, err
	}
	return &channelv1.GrantCapacityResponse{Grant: Name(grant.Channel, interval)}, nil
}

// thisHour is the hour that a call means which names none. A call that is
// repeated when the next hour has begun means the one that it meant at first, so
// that it has one effect.
func (a *API) thisHour(ctx context.Context, origin decider.Origin, channel journeyv1.Channel) (time.Time, error) {
	now := origin.Time.Truncate(hour)
	before := now.Add(-hour)
	nothing := func(granted) ([]proto.Message, error) { return nil, nil }
	outcome, err := decider.Handle(ctx, a.Streams, origin, grantStream(channel, Interval(before)), grants, nothing)
	if err != nil {
		return time.Time{}, err
	}
	if outcome.Repeated {
		return before, nil
	}
	return now, nil
}

// ReportWorkload tells how busy a channel is.
func (a *API) ReportWorkload(ctx context.Context, request *channelv1.ReportWorkloadRequest) (*channelv1.ReportWorkloadResponse, error) {
	var checks call.Checks
	call.Known(&checks, "channel", request.GetChannel(), journeyv1.Channel_name)
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_ReportWorkload_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	stream := workloadStream(request.GetChannel())
	if err := a.bound(ctx, stream); err != nil {
		return nil, err
	}
	report := Report{Channel: request.GetChannel(), Waiting: request.GetWaiting(), At: origin.Time}
	if _, err := decider.Handle(ctx, a.Streams, origin, stream, workloads, report.Decide); err != nil {
		return nil, err
	}
	return &channelv1.ReportWorkloadResponse{}, nil
}

// bound keeps a stream of measurements short, and says so to the store once for
// each process.
func (a *API) bound(ctx context.Context, stream string) error {
	if _, done := a.bounded.Load(stream); done {
		return nil
	}
	if err := a.Streams.Log.SetMaxCount(ctx, stream, workloadsKept); err != nil {
		return fmt.Errorf("bound %s: %w", stream, err)
	}
	a.bounded.Store(stream, true)
	return nil
}
