package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Errors about shadows.
var (
	// ErrNoShadow says that a flow has no shadow.
	ErrNoShadow = errors.New("the flow has no shadow; triangle flow shadow start has it run one")
	// ErrShadowRuns says that a flow has a shadow already.
	ErrShadowRuns = errors.New("the flow has a shadow already; triangle flow shadow stop ends it")
	// ErrShadowBegins says that a shadow has no copy of the flow's tables yet.
	ErrShadowBegins = errors.New("the shadow has not started yet; triangle flow shadow show tells when it has")
	// ErrSameCadence says that a shadow would run as the flow does.
	ErrSameCadence = errors.New("the flow runs at this cadence itself; a shadow is for another one")
	// ErrPausedShadow says that a shadow would take nothing in.
	ErrPausedShadow = errors.New("a shadow that is paused takes nothing in; choose another cadence")
	// ErrUnsettled says that a flow is about to go on at another cadence.
	ErrUnsettled = errors.New("the flow has been asked for another cadence and has not adopted it yet; try again when it has")
)

// Shadow is a shadow of a flow, by the flow's control stream.
type Shadow struct {
	Flow    flows.Flow
	ID      string
	Cadence string
	By      string
	Reason  string
	// RequestedAt is when it was asked for, StartedAt when it had its copy: the zero
	// time when it has none yet.
	RequestedAt, StartedAt time.Time
	// Position is where it began.
	Position *flowv1.Position
	// Waiting are the ids of the comparisons that were asked for and are not
	// answered; Compared are those that were, oldest first.
	Waiting  []string
	Compared []*flowv1.ShadowCompared

	revision eventlog.Expected // of the shadow's stream
}

// Started tells whether the shadow has its copy of the flow's tables.
func (s Shadow) Started() bool { return !s.StartedAt.IsZero() }

// shadows is what a control stream says of shadows.
type shadows struct {
	all     []string // the ids of those there have been
	current *Shadow  // nil when there is none
}

func (s *shadows) note(e codec.Event) {
	switch m := e.Message.(type) {
	case *flowv1.ShadowRequested:
		id := e.ID.String()
		s.all = append(s.all, id)
		s.current = &Shadow{ID: id, Cadence: m.GetCadence(), By: m.GetBy(), Reason: m.GetReason(), RequestedAt: e.Created}
	case *flowv1.ShadowStarted:
		if s.current != nil && s.current.ID == m.GetShadowId() {
			s.current.StartedAt, s.current.Position = e.Created, m.GetPosition()
		}
	case *flowv1.ShadowEnded:
		if s.current != nil && s.current.ID == m.GetShadowId() {
			s.current = nil
		}
	case *flowv1.CadenceRequested:
		s.current = nil // the flow's cut-over ends it
	}
}

// StartShadow asks a flow's consumer to run a shadow at another cadence, and
// returns its id. It fails with ErrUnknownFlow, flows.ErrCadence,
// ErrShadowRuns, ErrSameCadence, ErrPausedShadow, ErrPaused and ErrUnsettled.
func (f *Flows) StartShadow(ctx context.Context, name, cadence, by, reason string) (string, error) {
	parsed, err := flows.ParseCadence(cadence)
	if err != nil {
		return "", err
	}
	if parsed.IsPaused() {
		return "", ErrPausedShadow
	}
	flow, err := f.find(name)
	if err != nil {
		return "", err
	}
	id := uuid.New()
	_, err = f.steer(ctx, flow, by, id, func(s *State) (proto.Message, error) {
		switch {
		case !s.Settled():
			return nil, fmt.Errorf("%s: %w", name, ErrUnsettled)
		case s.Cadence == flows.Paused:
			return nil, fmt.Errorf("%s: %w", name, ErrPaused)
		case s.Cadence == parsed.String():
			return nil, fmt.Errorf("%s runs %s: %w", name, s.Cadence, ErrSameCadence)
		case s.shadows.current != nil:
			return nil, fmt.Errorf("%s runs a shadow at %s: %w", name, s.shadows.current.Cadence, ErrShadowRuns)
		}
		return &flowv1.ShadowRequested{Flow: name, Cadence: parsed.String(), By: by, Reason: reason}, nil
	})
	return id.String(), err
}

// StopShadow ends a flow's shadow, and returns what it was. It fails with
// ErrUnknownFlow and ErrNoShadow.
func (f *Flows) StopShadow(ctx context.Context, name, by, reason string) (Shadow, error) {
	flow, err := f.find(name)
	if err != nil {
		return Shadow{}, err
	}
	var ended Shadow
	_, err = f.steer(ctx, flow, by, uuid.New(), func(s *State) (proto.Message, error) {
		if ended, err = s.shadow(); err != nil {
			return nil, err
		}
		return &flowv1.ShadowEnded{Flow: name, ShadowId: ended.ID, By: by, Reason: reason}, nil
	})
	return ended, err
}

// shadow is the flow's shadow, as the control stream tells of it.
func (s State) shadow() (Shadow, error) {
	if s.shadows.current == nil {
		return Shadow{}, fmt.Errorf("%s: %w", s.Flow.Name, ErrNoShadow)
	}
	shadow := *s.shadows.current
	shadow.Flow = s.Flow
	return shadow, nil
}

// GetShadow returns a flow's shadow and its comparisons. It fails with
// ErrUnknownFlow and ErrNoShadow.
func (f *Flows) GetShadow(ctx context.Context, name string) (Shadow, error) {
	s, err := f.Get(ctx, name)
	if err != nil {
		return Shadow{}, err
	}
	shadow, err := s.shadow()
	if err != nil {
		return shadow, err
	}
	return f.compared(ctx, shadow)
}

// compared adds what the shadow's stream tells.
func (f *Flows) compared(ctx context.Context, s Shadow) (Shadow, error) {
	s.revision = eventlog.NoStream
	err := f.read(ctx, flows.ShadowStream(s.Flow.Name, s.ID), eventlog.Forward, 0, 0, func(e codec.Event) {
		s.revision = eventlog.At(e.Revision)
		switch m := e.Message.(type) {
		case *flowv1.MarkerSet:
			s.Waiting = append(s.Waiting, e.ID.String())
		case *flowv1.ShadowCompared:
			s.Compared = append(s.Compared, m)
			for i, id := range s.Waiting {
				if id == m.GetMarkerId() {
					s.Waiting = append(s.Waiting[:i:i], s.Waiting[i+1:]...)
					break
				}
			}
		}
	})
	return s, err
}

// CompareShadow sets a marker at which a flow and its shadow are compared, and
// returns its id: that of an earlier one that waits still, if there is one. It
// fails with ErrUnknownFlow, ErrNoShadow and ErrShadowBegins.
func (f *Flows) CompareShadow(ctx context.Context, name, by string) (string, error) {
	for {
		s, err := f.GetShadow(ctx, name)
		switch {
		case err != nil:
			return "", err
		case !s.Started():
			return "", fmt.Errorf("%s: %w", name, ErrShadowBegins)
		case len(s.Waiting) > 0:
			return s.Waiting[0], nil
		}
		id, stream := uuid.New(), flows.ShadowStream(name, s.ID)
		marker := &flowv1.MarkerSet{Purpose: "compare " + name + " with its shadow"}
		switch _, err := f.append(ctx, stream, s.revision, told{id: id, message: marker, by: by, subject: name}); {
		case errors.Is(err, eventlog.ErrWrongRevision):
			continue
		case err != nil:
			return "", fmt.Errorf("set a marker to compare %s with its shadow: %w", name, err)
		}
		return id.String(), nil
	}
}

// WaitShadow waits until a flow's shadow is as ready wants it, or ctx ends. It
// fails as GetShadow does: also when the shadow ends meanwhile.
func (f *Flows) WaitShadow(ctx context.Context, name string, ready func(Shadow) bool) (Shadow, error) {
	for {
		s, err := f.GetShadow(ctx, name)
		if err != nil || ready(s) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// At returns the comparison at a marker; nil when there is none yet.
func (s Shadow) At(marker string) *flowv1.ShadowCompared {
	for _, c := range s.Compared {
		if c.GetMarkerId() == marker {
			return c
		}
	}
	return nil
}

// Compared tells what came of a comparison, in one line.
func Compared(c *flowv1.ShadowCompared) string {
	switch c.GetOutcome() {
	case flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL:
		return fmt.Sprintf("equal: %d rows, content digest %s; %s%s", c.GetLive().GetRows(), c.GetLive().GetContentDigest(),
			counted(c.GetLive().GetCauses(), "cause"), late(c))
	case flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT:
		return "different: " + different(c) + late(c)
	default:
		return "not compared: " + c.GetReason()
	}
}

func different(c *flowv1.ShadowCompared) string {
	var parts []string
	for _, one := range []struct {
		n    uint64
		what string
	}{{c.GetRowsDiffering(), "row"}, {c.GetCausesDiffering(), "cause"}, {c.GetParkedDiffering(), "parked event"}} {
		if one.n > 0 {
			parts = append(parts, counted(one.n, one.what))
		}
	}
	if a, b := c.GetLive(), c.GetShadow(); a.GetIntakeDigest() != b.GetIntakeDigest() || a.GetTaken() != b.GetTaken() {
		parts = append(parts, fmt.Sprintf("the events taken in (%d and %d, intake digests %s and %s)", a.GetTaken(), b.GetTaken(), a.GetIntakeDigest(), b.GetIntakeDigest()))
	}
	return strings.Join(parts, ", ")
}

// late tells of causes that were late in one of the two, which is no difference.
func late(c *flowv1.ShadowCompared) string {
	if c.GetCausesLateInOne() == 0 {
		return ""
	}
	return fmt.Sprintf("; %s late in one of the two only (the flow: %d, the shadow: %d)",
		counted(c.GetCausesLateInOne(), "cause"), c.GetLive().GetCausesLate(), c.GetShadow().GetCausesLate())
}

func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Differing names a row that differs, in one line.
func Differing(d *flowv1.ShadowDifference) string {
	text := d.GetTable() + ": " + d.GetKey()
	if d.GetMissingFrom() != "" {
		return text + " is not in " + d.GetMissingFrom()
	}
	return text + " differs in " + strings.Join(d.GetColumns(), ", ")
}
