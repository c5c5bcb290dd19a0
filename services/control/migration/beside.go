package migration

import (
	"fmt"
	"slices"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

// ApplyShadow adds the next event of the shadow's stream.
func (s *State) ApplyShadow(e Event) {
	shadow := s.Shadow
	if shadow == nil {
		return
	}
	shadow.Next = e.Revision + 1
	switch m := e.Message.(type) {
	case *flowv1.MarkerSet:
		shadow.Waiting = e.ID
	case *flowv1.ShadowCompared:
		if shadow.Waiting == m.GetMarkerId() {
			shadow.Waiting = ""
		}
		shadow.Outcome, shadow.ComparedAt = m.GetOutcome(), e.At
		switch m.GetOutcome() {
		case flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL:
			shadow.Equal++
			shadow.Detail = ""
		case flowv1.ShadowOutcome_SHADOW_OUTCOME_NOT_COMPARED:
			shadow.Detail = m.GetReason()
		default: // a newer consumer's word is no reason to go on
			shadow.Equal = 0
			shadow.Detail = fmt.Sprintf("%d rows, %d causes and %d parked events differ",
				m.GetRowsDiffering(), m.GetCausesDiffering(), m.GetParkedDiffering())
		}
	}
}

// ApplyProgress adds the next event of the progress stream.
func (s *State) ApplyProgress(e Event) {
	s.NextProgress = e.Revision + 1
	if m, ok := e.Message.(*flowv1.FlowProgressed); ok {
		s.Progress, s.ToldAt = m, e.At
	}
}

// ApplyHour adds the next event of the freshness stream, and forgets what is older
// than the objective's window.
func (s *State) ApplyHour(e Event) {
	s.NextHour = e.Revision + 1
	m, ok := e.Message.(*flowv1.FreshnessMeasured)
	if !ok {
		return
	}
	s.Hours = append(s.Hours, m)
	oldest := e.At.Add(-flows.Window - time.Hour)
	old := 0
	for old < len(s.Hours) && s.Hours[old].GetSince().AsTime().Before(oldest) {
		old++
	}
	if old > 0 {
		s.Hours = slices.Clone(s.Hours[old:])
	}
}

// Watched is how much of the time from a moment on was watched, until another
// one: without the lapses, and without the pauses.
func (s *State) Watched(from, until time.Time, lapses []Span) time.Duration {
	if !s.Paused.IsZero() {
		until = earlier(until, later(from, s.Paused))
	}
	spans := slices.Concat(lapses, s.Pauses)
	slices.SortFunc(spans, func(a, b Span) int { return a.From.Compare(b.From) })
	watched, at := time.Duration(0), from
	for _, gap := range spans {
		if gap.From.After(at) {
			watched += max(0, earlier(gap.From, until).Sub(at))
		}
		at = later(at, gap.Until)
	}
	return watched + max(0, until.Sub(at))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
