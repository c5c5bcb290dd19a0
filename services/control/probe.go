package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// probesKept is how many events the stream of probes keeps.
const probesKept = 10

// Probe is a marker in the log that every flow lets through and that no handler
// sees: whose checkpoint has come past it takes events in.
type Probe struct {
	// Position is where it stands.
	Position Position
	// Flows are the names of those that it is for.
	Flows []string
}

// Probing is how a flow stands to a probe.
type Probing int

// How a flow may stand to a probe.
const (
	// Unanswered: a flow in real time has not come to the probe yet.
	Unanswered Probing = iota
	// Silent: the service that takes the flow in does not run, or has not told how
	// much waits.
	Silent
	// Stale: a periodic flow is staler than its objective allows.
	Stale
	// Passed: a flow in real time has taken the probe in.
	Passed
	// InTime: a periodic flow, which takes nothing in before its next window, is as
	// fresh as its objective wants it.
	InTime
	// Stopped: the flow is paused, as somebody has asked for.
	Stopped
)

// IsWell tells whether nothing is wrong with the flow.
func (p Probing) IsWell() bool { return p >= Passed }

// Probed is what became of a probe in a flow.
type Probed struct {
	State
	Probing
}

// SendProbe sends a probe through the named flows, or through all where none is
// named. It fails with ErrUnknownFlow.
func (f *Flows) SendProbe(ctx context.Context, by string, names ...string) (Probe, error) {
	if len(names) == 0 {
		for _, flow := range flows.Catalogue {
			names = append(names, flow.Name)
		}
	}
	for _, name := range names {
		if _, err := f.find(name); err != nil {
			return Probe{}, err
		}
	}
	var appended eventlog.Appended
	err := f.log.SetMaxCount(ctx, flows.ProbesStream, probesKept)
	if err == nil {
		appended, err = f.append(ctx, flows.ProbesStream, eventlog.Any,
			told{id: uuid.New(), message: &flowv1.MarkerSet{Purpose: "probe"}, by: by, subject: flows.ProbesStream})
	}
	if err != nil {
		return Probe{}, fmt.Errorf("send a probe: %w", err)
	}
	return Probe{Position: appended.Position, Flows: names}, nil
}

// LookAt tells how the flows of a probe stand to it now.
func (f *Flows) LookAt(ctx context.Context, p Probe) ([]Probed, error) {
	replicas, now, err := contract.Known(ctx, &decider.Streams{Log: f.log, Codec: f.codec})
	if err != nil {
		return nil, err
	}
	runs := map[flows.Service]bool{}
	for _, r := range replicas {
		runs[r.Service] = runs[r.Service] || r.Runs(now)
	}
	all := make([]Probed, 0, len(p.Flows))
	for _, name := range p.Flows {
		s, err := f.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, Probed{State: s, Probing: p.in(s, runs[s.Flow.To], now)})
	}
	return all, nil
}

// in is how a flow stands to the probe, by its state and whether anybody takes it in.
func (p Probe) in(s State, runs bool, now time.Time) Probing {
	staleness, told := s.Staleness(now)
	objective, _ := s.Objective()
	at := s.Progress.GetPosition()
	switch {
	case s.Cadence == flows.Paused:
		return Stopped
	case !runs:
		return Silent
	case s.Cadence == flows.RealTime:
		if (Position{Commit: at.GetCommit(), Prepare: at.GetPrepare()}).Compare(p.Position) < 0 {
			return Unanswered
		}
		return Passed
	case !told:
		return Silent
	case staleness > objective.Staleness:
		return Stale
	default:
		return InTime
	}
}

// WaitProbed looks at a probe until every flow is well, or ctx ends: then it returns
// how they stood last.
func (f *Flows) WaitProbed(ctx context.Context, p Probe) (last []Probed, err error) {
	for {
		seen, err := f.LookAt(ctx, p)
		if last != nil && errors.Is(err, context.DeadlineExceeded) {
			return last, nil // time was up within a look
		}
		if err != nil {
			return nil, err
		}
		last = seen
		if !slices.ContainsFunc(last, func(one Probed) bool { return !one.IsWell() }) {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}
