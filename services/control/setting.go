package control

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

// Set asks a flow to go on at another cadence, and returns the state with the
// request in it. Setting the cadence that was asked for last changes nothing. It
// fails with ErrUnknownFlow, flows.ErrCadence and ErrManaged.
func (f *Flows) Set(ctx context.Context, name, cadence, by, reason string) (State, error) {
	return f.set(ctx, name, cadence, asking{by: by, reason: reason})
}

// Begin is Set for who knows which epoch is to begin: of two that steer a flow
// towards the same epoch one wins, and the other is told. It fails as Set does,
// and with ErrEpoch.
func (f *Flows) Begin(ctx context.Context, name string, epoch uint64, cadence, by, reason string) (State, error) {
	return f.set(ctx, name, cadence, asking{epoch: &epoch, by: by, reason: reason})
}

// BreakGlass is Set for a flow that a plan manages, too: its migration holds then.
func (f *Flows) BreakGlass(ctx context.Context, name, cadence, by, reason string) (State, error) {
	return f.set(ctx, name, cadence, asking{breakGlass: true, by: by, reason: reason})
}

// BeginBreakingGlass is Begin for a flow that a plan manages, too.
func (f *Flows) BeginBreakingGlass(ctx context.Context, name string, epoch uint64, cadence, by, reason string) (State, error) {
	return f.set(ctx, name, cadence, asking{epoch: &epoch, breakGlass: true, by: by, reason: reason})
}

// asking is how somebody asks for a cadence.
type asking struct {
	epoch      *uint64 // that is to begin; nil: whichever comes next
	breakGlass bool
	by, reason string
}

func (f *Flows) set(ctx context.Context, name, cadence string, a asking) (State, error) {
	parsed, err := flows.ParseCadence(cadence)
	if err != nil {
		return State{}, err
	}
	flow, err := f.find(name)
	if err != nil {
		return State{}, err
	}
	return f.steer(ctx, flow, a.by, uuid.New(), func(s *State) (proto.Message, error) {
		switch {
		case a.epoch == nil && s.Requested == parsed.String():
			return nil, nil
		case a.epoch != nil && *a.epoch != s.RequestedEpoch+1:
			return nil, fmt.Errorf("epoch %d can't begin: %s is in epoch %d (%s), and its next one is %d: %w",
				*a.epoch, name, s.RequestedEpoch, s.Requested, s.RequestedEpoch+1, ErrEpoch)
		case s.Manager != nil && !a.breakGlass:
			return nil, fmt.Errorf("%s: %w: InformationFlow %s, by %s; change its steps instead, or add --break-glass, which makes its migration hold",
				name, ErrManaged, s.Manager.GetObject(), s.Manager.GetBy())
		}
		request := s.request(parsed, a.by, a.reason)
		if s.Manager != nil {
			request.Move = flowv1.CadenceMove_CADENCE_MOVE_BREAK_GLASS
		}
		return request, nil
	})
}

// request asks for the next epoch.
func (s *State) request(cadence flows.Cadence, by, reason string) *flowv1.CadenceRequested {
	s.RequestedEpoch, s.Requested = s.RequestedEpoch+1, cadence.String()
	return &flowv1.CadenceRequested{Flow: s.Flow.Name, Epoch: s.RequestedEpoch, Cadence: s.Requested, By: by, Reason: reason}
}
