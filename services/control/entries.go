package control

import (
	"fmt"
	"slices"
	"strings"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

func sortByTime(all []Entry) {
	slices.SortStableFunc(all, func(a, b Entry) int { return a.At.Compare(b.At) })
}

// String tells an entry in one line.
func (e Entry) String() string {
	if line, ok := migrationLine(e.Event); ok {
		return line
	}
	switch m := e.Event.(type) {
	case *flowv1.CadenceRequested:
		return fmt.Sprintf("epoch %d asked for: %s, by %s", m.GetEpoch(), m.GetCadence(), whoMoved(m))
	case *flowv1.CadenceAdopted:
		return fmt.Sprintf("epoch %d began: %s", m.GetEpoch(), m.GetCadence())
	case *flowv1.EpochClosed:
		return fmt.Sprintf("epoch %d closed: %d events, intake digest %s%s", m.GetEpoch(), m.GetCount(), m.GetIntakeDigest(), content(m))
	case *flowv1.TypesAdopted:
		return fmt.Sprintf("types version %d carried after C:%d/P:%d: %s", m.GetVersion(),
			m.GetPosition().GetCommit(), m.GetPosition().GetPrepare(), strings.Join(m.GetTypes(), ", "))
	case *flowv1.WindowRequested:
		return fmt.Sprintf("window asked for, by %s", who(m))
	case *flowv1.WindowOpened:
		return fmt.Sprintf("window opened, due %s", m.GetDue().AsTime().Format("2006-01-02 15:04:05Z07:00"))
	case *flowv1.WindowClosed:
		return fmt.Sprintf("window closed: %d events", m.GetCount())
	case *flowv1.EventParked:
		return fmt.Sprintf("event %s parked: %s", m.GetEventId(), m.GetReason())
	case *flowv1.RetryRequested:
		return fmt.Sprintf("retry of the parked event %s asked for, by %s", m.GetEventId(), who(m))
	case *flowv1.SkipRequested:
		return fmt.Sprintf("skip of the parked event %s asked for, by %s", m.GetEventId(), who(m))
	case *flowv1.ParkingAnswered:
		return Outcome(m)
	case *flowv1.AuditRequested:
		return "audit asked for, by " + m.GetBy()
	case *flowv1.AuditCompleted:
		return completedLine(m)
	case *flowv1.ShadowRequested:
		return fmt.Sprintf("shadow asked for: %s, by %s", m.GetCadence(), who(m))
	case *flowv1.ShadowStarted:
		return fmt.Sprintf("shadow began: %s", m.GetCadence())
	case *flowv1.ShadowCompared:
		return "shadow compared, " + Compared(m)
	case *flowv1.ShadowEnded:
		return "shadow ended, by " + who(m)
	default:
		return string(e.Event.ProtoReflect().Descriptor().FullName())
	}
}

// content tells what the tables had come to when an epoch closed.
func content(m *flowv1.EpochClosed) string {
	switch {
	case m.GetContentMissing() != "":
		return "; content not known: " + m.GetContentMissing()
	case m.GetContentDigest() == "":
		return ""
	default:
		return fmt.Sprintf(", content digest %s of %d rows", m.GetContentDigest(), m.GetContentRows())
	}
}

// request is what every control event of somebody who steers has.
type request interface {
	GetBy() string
	GetReason() string
}

// whoMoved tells who asked for a cadence, too when a plan had set it.
func whoMoved(m *flowv1.CadenceRequested) string {
	if m.GetMove() != flowv1.CadenceMove_CADENCE_MOVE_BREAK_GLASS {
		return who(m)
	}
	by := m.GetBy() + ", who broke the glass"
	if m.GetReason() == "" {
		return by
	}
	return by + ": " + m.GetReason()
}

// who tells who asked, and why if they said so.
func who(r request) string {
	if r.GetReason() == "" {
		return r.GetBy()
	}
	return r.GetBy() + ": " + r.GetReason()
}
