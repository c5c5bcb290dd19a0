package segment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// Most is how many segments there may be: a profile asks for each whether the
// customer belongs to it.
const Most = 200

// API answers the calls about segments.
type API struct {
	Streams   *decider.Streams
	DB        projection.Querier
	Origins   call.Origins
	Freshness func(flows ...string) []*flowv1.Freshness
	// Now is the clock.
	Now func() time.Time
}

// DefineSegment says which customers belong together.
func (a *API) DefineSegment(
	ctx context.Context, req *marketingv1.DefineSegmentRequest,
) (*marketingv1.DefineSegmentResponse, error) {
	segment := req.GetSegment()
	var c call.Checks
	c.Slug("segment.segment_id", segment.GetSegmentId())
	d := &marketingv1.SegmentDefined{
		SegmentId: segment.GetSegmentId(), Name: c.Required("segment.name", segment.GetName()), Rule: strings.TrimSpace(segment.GetRule()),
	}
	if _, err := a.check(ctx, &c, "segment.rule", d.GetRule()); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, marketingv1.MarketingService_DefineSegment_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	all, err := All(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	_, err = decider.Handle(ctx, a.Streams, origin, Stream(d.GetSegmentId()), Decider, func(s State) ([]proto.Message, error) {
		if s.Defined == nil && len(all) >= Most {
			return nil, fault.Precondition("there are %d segments already, which is as many as there may be", Most).WithReason("SEGMENTS_FULL")
		}
		return Define(s, d), nil
	})
	if err != nil {
		return nil, fmt.Errorf("define segment %s: %w", d.GetSegmentId(), err)
	}
	return &marketingv1.DefineSegmentResponse{}, nil
}

// Find returns a segment as it is defined now, from its stream; it fails with a fault
// when there is none.
func Find(ctx context.Context, s *decider.Streams, id string) (*marketingv1.SegmentDefined, error) {
	state, _, err := decider.Load(ctx, s, Stream(id), Decider)
	if err != nil {
		return nil, fmt.Errorf("look up segment %s: %w", id, err)
	}
	if state.Defined == nil {
		return nil, fault.Precondition("there is no segment %s: define it first", id).WithReason("SEGMENT_UNKNOWN")
	}
	return state.Defined, nil
}

// Check reads a rule, and notes what is wrong with it.
func Check(ctx context.Context, db projection.Querier, c *call.Checks, field, rule string) error {
	propositions, err := proposition.All(ctx, db)
	if err != nil {
		return err
	}
	checkRule(c, field, rule, propositions, time.Time{})
	return nil
}

// check reads a rule, and refuses the call when something is wrong with it, or
// with what was checked before.
func (a *API) check(ctx context.Context, c *call.Checks, field, rule string) (*query, error) {
	propositions, err := proposition.All(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	q := checkRule(c, field, rule, propositions, a.Now())
	return q, c.Err()
}

// checkRule reads a rule, as it holds at a time, and notes what is wrong with it.
func checkRule(c *call.Checks, field, rule string, propositions []*marketingv1.PropositionDefined, at time.Time) *query {
	if c.Text(field, rule) == "" {
		return nil
	}
	read, err := Parse(rule)
	var compiled *query
	if err == nil {
		compiled, err = read.compile(propositions, at)
	}
	var wrong *Problem
	if errors.As(err, &wrong) {
		c.Fail(field, "is wrong at %s", wrong)
	}
	return compiled
}

// ListSegments returns the segments, by their id.
func (a *API) ListSegments(
	ctx context.Context, _ *marketingv1.ListSegmentsRequest,
) (*marketingv1.ListSegmentsResponse, error) {
	all, err := All(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.ListSegmentsResponse{}
	for _, s := range all {
		resp.Segments = append(resp.Segments, &marketingv1.Segment{SegmentId: s.GetSegmentId(), Name: s.GetName(), Rule: s.GetRule()})
	}
	return resp, nil
}

// GetReach counts whom a rule hits now, without defining anything.
func (a *API) GetReach(ctx context.Context, req *marketingv1.GetReachRequest) (*marketingv1.GetReachResponse, error) {
	var c call.Checks
	q, err := a.check(ctx, &c, "rule", req.GetRule())
	if err != nil {
		return nil, err
	}
	resp := &marketingv1.GetReachResponse{Freshness: a.Freshness(nba.RestsOn...)} // before reading: it is no older
	resp.Customers, resp.Known, err = q.reach(ctx, a.DB)
	return resp, err
}
