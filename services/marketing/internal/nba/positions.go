package nba

import (
	"context"
	"errors"
	"fmt"
	"maps"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// positions are how far each flow has come, by its name.
type positions map[string]eventlog.Position

// ownFlow is the flow of marketing's own events.
var ownFlow = flow.Own(flows.Marketing, nil, nil).Name

// readPositions reads how far the tables have come.
func readPositions(ctx context.Context, q projection.Querier) (positions, error) {
	rows, err := q.Query(ctx, `SELECT flow, commit_position, prepare_position FROM flow_checkpoint`)
	if err != nil {
		return nil, fmt.Errorf("read how far the flows are: %w", err)
	}
	type row struct {
		flow string
		at   eventlog.Position
	}
	all, err := projection.Collect(rows, func(from projection.Scanner, r *row) error {
		return from.Scan(&r.flow, &r.at.Commit, &r.at.Prepare)
	})
	if err != nil {
		return nil, fmt.Errorf("read how far the flows are: %w", err)
	}
	p := positions{}
	for _, r := range all {
		p[r.flow] = r.at
	}
	return p, nil
}

// mostReads bounds how often features are gathered for one decision.
const mostReads = 100

var errUnsteady = errors.New("the flows go on while a decision is gathered")

// gatherAt gathers the features for a cause, and tells how far each flow was then. A
// statement sees what is committed when it begins, where the database is a server:
// when another flow has gone on between the first and the last, they are read again.
// Of the cause's own flow they show what came up to the cause.
func gatherAt(ctx context.Context, q projection.Querier, contact, customer string, cause flow.Cause) (gathered, positions, error) {
	for range mostReads {
		before, err := readPositions(ctx, q)
		if err != nil {
			return gathered{}, nil, err
		}
		g, err := gather(ctx, q, contact, customer, cause.Metadata.Time)
		if err != nil {
			return g, nil, err
		}
		after, err := readPositions(ctx, q)
		if err != nil {
			return g, nil, err
		}
		if maps.Equal(before, after) {
			after[Flow] = cause.Position
			return g, after, nil
		}
	}
	return gathered{}, nil, errUnsteady
}

// stamp puts the positions into what a decision says that it rested on, and returns
// that of marketing's own events.
func (p positions) stamp(restedOn []*flowv1.Freshness) (own *flowv1.Position) {
	for _, f := range restedOn {
		f.Position = wire(p[f.GetFlow()])
	}
	return wire(p[ownFlow])
}

func wire(p eventlog.Position) *flowv1.Position {
	return &flowv1.Position{Commit: p.Commit, Prepare: p.Prepare}
}

func fromWire(p *flowv1.Position) eventlog.Position {
	return eventlog.Position{Commit: p.GetCommit(), Prepare: p.GetPrepare()}
}
