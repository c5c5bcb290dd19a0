package plan_test

import (
	"slices"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// twin holds each request for a cadence against what had happened by then. It knows
// what the planner is to guarantee, and none of how: it goes through the history of
// events each time, and counts minutes.
type twin struct{ *model }

// begin is the last event before which nothing counts.
func (w twin) begin(events []migration.Event) int {
	for i := len(events) - 1; i >= 0; i-- {
		switch m := events[i].Message.(type) {
		case *flowv1.CadenceAdopted:
			return i
		case *flowv1.MigrationSteered:
			if m.GetAction() == flowv1.SteeringAction_STEERING_ACTION_RETRY {
				return i
			}
		case *flowv1.MigrationPlanned:
			if i == 0 || !samePlanBefore(events[:i], m.GetPlan()) {
				return i
			}
		}
	}
	return 0
}

func samePlanBefore(events []migration.Event, hash string) bool {
	for _, e := range slices.Backward(events) {
		if m, ok := e.Message.(*flowv1.MigrationPlanned); ok {
			return m.GetPlan() == hash
		}
	}
	return false
}

// minutes are those between two moments that were watched, and not paused.
func (w twin) minutes(from, until time.Time) (n int) {
	within := func(spans []migration.Span, t time.Time) bool {
		return slices.ContainsFunc(spans, func(s migration.Span) bool {
			return !t.Before(s.From) && (s.Until.IsZero() || t.Before(s.Until))
		})
	}
	for t := from; t.Before(until); t = t.Add(time.Minute) {
		if within(w.watched, t) && !within(w.paused, t) {
			n++
		}
	}
	return n
}

// check looks at a request for a cadence that is about to be made.
func (w twin) check(r *flowv1.CadenceRequested) {
	to := slices.IndexFunc(w.spec.Steps, func(s plan.Step) bool { return s.Name == r.GetStep() })
	at := slices.IndexFunc(w.spec.Steps, func(s plan.Step) bool {
		return s.Cadence == w.cadence || s.Name == "daily" && w.cadence == "daily"
	})
	if r.GetMove() == flowv1.CadenceMove_CADENCE_MOVE_ROLLBACK {
		w.checkBack(to)
		return
	}
	if to != at+1 || w.epoch+1 != r.GetEpoch() {
		w.wrong("from step %d to step %d, epoch %d to %d", at, to, w.epoch, r.GetEpoch())
	}
	w.checkFree()
	attempt := w.begin(w.control)
	events := w.control[attempt:]
	if at >= 0 {
		for _, g := range w.spec.Steps[at].Gates {
			if !g.DryRun {
				w.checkGate(g, events)
			}
		}
	}
	w.checkApproval(w.spec.Steps[to], events)
	w.checkShadow(w.spec.Steps[to])
	w.checkWindow()
}

// checkFree wants nothing that holds the migration.
func (w twin) checkFree() {
	held := ""
	for _, e := range w.control {
		switch m := e.Message.(type) {
		case *flowv1.MigrationHeld:
			held = m.GetDetail()
		case *flowv1.CadenceRequested:
			if m.GetMove() != flowv1.CadenceMove_CADENCE_MOVE_FORWARD {
				held = m.GetMove().String()
			}
		case *flowv1.MigrationPlanned:
			held = ""
		case *flowv1.MigrationSteered:
			switch m.GetAction() {
			case flowv1.SteeringAction_STEERING_ACTION_ABORT:
				held = "aborted"
			case flowv1.SteeringAction_STEERING_ACTION_RETRY:
				held = ""
			}
		}
	}
	if held != "" {
		w.wrong("it goes on although it is held: %s", held)
	}
	if n := len(w.paused); n > 0 && w.paused[n-1].Until.IsZero() {
		w.wrong("it goes on although it is paused")
	}
}

func (w twin) checkBack(to int) {
	if to < 0 {
		w.wrong("it goes back to no step")
	}
	for _, e := range slices.Backward(w.control) {
		if m, ok := e.Message.(*flowv1.CadenceRequested); ok {
			if m.GetMove() != flowv1.CadenceMove_CADENCE_MOVE_FORWARD {
				w.wrong("it goes back after %s", m.GetMove())
			}
			return
		}
	}
	w.wrong("it goes back from where it began")
}

func (w twin) checkGate(g plan.Gate, events []migration.Event) {
	var since time.Time
	for _, e := range events {
		if m, ok := e.Message.(*flowv1.GateJudged); ok && m.GetGate() == g.Name {
			since = time.Time{}
			if m.GetResult() == flowv1.GateVerdict_GATE_VERDICT_PASS {
				since = e.At
			}
		}
	}
	if since.IsZero() {
		w.wrong("gate %s has not passed", g.Name)
		return
	}
	if n := w.minutes(since, w.now); n < int(g.For/time.Minute) {
		w.wrong("gate %s has passed for %d watched minutes, wanted %s", g.Name, n, g.For)
	}
	switch g.Kind {
	case plan.Lag:
		if w.lag > g.MaxEvents {
			w.wrong("gate %s: %d events wait", g.Name, w.lag)
		}
	case plan.Parity:
		if n := proofsInARow(events, g); n < g.Consecutive {
			w.wrong("gate %s: %d proofs in a row, wanted %d", g.Name, n, g.Consecutive)
		}
	}
}

func proofsInARow(events []migration.Event, g plan.Gate) (n int) {
	for _, e := range slices.Backward(events) {
		m, ok := e.Message.(*flowv1.ParityJudged)
		if !ok {
			continue
		}
		if m.GetProduced() == 0 || m.GetUnexplained() > 0 || m.GetMissing() > g.Missing || m.GetDuplicated() > g.Duplicated || m.GetReordered() > g.Reordered {
			break
		}
		n++
	}
	return n
}

func (w twin) checkApproval(step plan.Step, events []migration.Event) {
	if step.Approval == nil {
		return
	}
	uses := map[string]int{}
	for _, e := range w.control {
		if m, ok := e.Message.(*flowv1.ApprovalCounted); ok {
			if uses[m.GetApprovalUid()]++; uses[m.GetApprovalUid()] > 1 {
				w.wrong("approval %s counts twice", m.GetApproval())
			}
		}
	}
	for _, e := range events {
		if m, ok := e.Message.(*flowv1.ApprovalCounted); ok && m.GetStep() == step.Name {
			i := slices.IndexFunc(w.approvals, func(a plan.ApprovalSeen) bool { return a.UID == m.GetApprovalUid() })
			if i < 0 || w.approvals[i].Step != step.Name || w.approvals[i].PlanHash != w.spec.Hash {
				w.wrong("approval %s is of another step or plan", m.GetApproval())
			}
			return
		}
	}
	w.wrong("nobody has approved step %s", step.Name)
}

func (w twin) checkShadow(step plan.Step) {
	if step.Shadow == 0 {
		return
	}
	id := ""
	for _, e := range w.control {
		if m, ok := e.Message.(*flowv1.ShadowRequested); ok && m.GetCadence() == step.Cadence {
			id = e.ID
		}
	}
	equal := 0
	for _, e := range w.shadows[id] {
		if m, ok := e.Message.(*flowv1.ShadowCompared); ok {
			if equal++; m.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL {
				equal = 0
			}
		}
	}
	if equal < step.Shadow {
		w.wrong("%d comparisons in a row were equal, wanted %d", equal, step.Shadow)
	}
}

func (w twin) checkWindow() {
	open := len(w.spec.Windows) == 0
	for _, window := range w.spec.Windows {
		wall := w.now.In(window.Zone)
		minute := time.Duration(wall.Hour()*60+wall.Minute()) * time.Minute
		open = open || window.Days[wall.Weekday()] && window.Start <= minute && minute < window.End
	}
	if !open {
		w.wrong("no maintenance window is open at %s", w.now)
	}
}
