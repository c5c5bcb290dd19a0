package migration

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
)

// Apply adds the next event of the control stream.
func (s *State) Apply(e Event) {
	s.Next = e.Revision + 1
	message, ok := e.Message.(proto.Message)
	if !ok {
		s.note(e, e.Fault)
		return
	}
	if field := unknownEnum(message.ProtoReflect()); field != "" {
		s.note(e, "its "+field+" has a value that is not known here")
		return
	}
	if isTransition(message) {
		s.Told = s.Proof
	}
	switch m := message.(type) {
	case *flowv1.CadenceRequested:
		s.request(e, m)
	case *flowv1.CadenceAdopted:
		s.adopt(e, m)
	case *flowv1.MigrationPlanned:
		s.plan(e, m)
	case *flowv1.MigrationEnded:
		s.end(e, m)
	case *flowv1.MigrationHeld:
		if s.isOf(m.GetPlan()) {
			s.Held = &Held{m.GetCause(), m.GetStep(), m.GetDetail(), e.At}
		}
	case *flowv1.MigrationSteered:
		s.steer(e, m)
	case *flowv1.GateJudged:
		s.judge(e, m)
	case *flowv1.ApprovalAwaited:
		if s.isOf(m.GetPlan()) {
			s.Approval = &Approval{Step: m.GetStep(), AwaitedAt: e.At}
		}
	case *flowv1.ApprovalCounted:
		s.count(e, m)
	default:
		s.prove(e, message)
		s.shade(e, message)
	}
}

// isTransition tells whether an event is one by which a flow, or its migration, comes
// to another state.
func isTransition(message proto.Message) bool {
	switch message.(type) {
	case *flowv1.CadenceRequested, *flowv1.CadenceAdopted,
		*flowv1.MigrationPlanned, *flowv1.MigrationEnded, *flowv1.MigrationHeld, *flowv1.MigrationSteered,
		*flowv1.GateJudged, *flowv1.ApprovalAwaited, *flowv1.ApprovalCounted:
		return true
	default:
		return false
	}
}

// note remembers the first event that can't be understood.
func (s *State) note(e Event, why string) {
	if s.Unknown == "" {
		s.Unknown = fmt.Sprintf("%s@%d (%s): %s", flows.ControlStream(s.Flow), e.Revision, e.Type, why)
	}
}

// unknownEnum names a field whose value a newer writer has added. Such a value
// reads as the first one, which is never written: but for CadenceMove, where it
// says that no plan has asked, and where none is named.
func unknownEnum(m protoreflect.Message) string {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Kind() != protoreflect.EnumKind || field.IsList() {
			continue
		}
		number := m.Get(field).Enum()
		zeroMeans := field.Enum().FullName() == "flow.v1.CadenceMove" && !m.Has(fields.ByName("plan"))
		if field.Enum().Values().ByNumber(number) == nil || number == 0 && !zeroMeans {
			return string(field.Name())
		}
	}
	return ""
}

func (s *State) isOf(plan string) bool { return s.Plan != nil && s.Plan.GetPlan() == plan }

func (s *State) request(e Event, m *flowv1.CadenceRequested) {
	if m.GetEpoch() <= s.Asked.Epoch {
		return // it is out of date, and nobody follows it
	}
	r := Request{m.GetEpoch(), m.GetCadence(), m.GetStep(), m.GetPlan(), m.GetMove(), m.GetBy(), m.GetReason(), e.At}
	s.Asked = r
	s.pending = append(s.pending, r)
	s.History = append(s.History, r)
	s.History = slices.Clone(s.History[max(0, len(s.History)-HistoryKept):])
	if s.Plan == nil {
		return
	}
	switch {
	case !s.isOf(m.GetPlan()) || r.Move == flowv1.CadenceMove_CADENCE_MOVE_BREAK_GLASS || r.Move == flowv1.CadenceMove_CADENCE_MOVE_UNSPECIFIED:
		s.Foreign = &r
	case r.Move == flowv1.CadenceMove_CADENCE_MOVE_ROLLBACK:
		s.RolledBack, s.Held = e.At, nil
	}
}

func (s *State) adopt(e Event, m *flowv1.CadenceAdopted) {
	if m.GetEpoch() <= s.Epoch {
		return
	}
	s.Epoch, s.Cadence, s.Since, s.Start = m.GetEpoch(), m.GetCadence(), e.At, m.GetPosition()
	s.Began = Request{Epoch: s.Epoch, Cadence: s.Cadence}
	if i := slices.IndexFunc(s.pending, func(r Request) bool { return r.Epoch == s.Epoch }); i >= 0 {
		s.Began = s.pending[i]
	}
	s.pending = slices.DeleteFunc(s.pending, func(r Request) bool { return r.Epoch <= s.Epoch })
	s.attempt(e.At)
	s.Shadow = nil // the cut-over has ended it
}

// attempt begins anew: what was seen before counts no more.
func (s *State) attempt(at time.Time) {
	s.Attempt, s.Gates, s.Runs, s.Audit, s.Approval, s.Pauses = at, nil, nil, nil, nil, nil
	if s.Shadow != nil && s.Shadow.Ended {
		s.Shadow = nil
	}
}

// plan begins a plan. A new generation of the same plan changes nothing of what was
// seen, unless the migration had come to a stop: then it is tried again.
func (s *State) plan(e Event, m *flowv1.MigrationPlanned) {
	before := s.Plan
	s.Plan = &Planned{m, e.At}
	same := before != nil && before.GetPlan() == m.GetPlan() && before.GetObjectUid() == m.GetObjectUid()
	if !same || s.stopped() {
		s.retry(e.At)
	}
}

func (s *State) stopped() bool {
	return s.Held != nil || s.Foreign != nil || !s.Aborted.IsZero() || !s.RolledBack.IsZero()
}

func (s *State) retry(at time.Time) {
	s.Held, s.Foreign, s.Aborted, s.RolledBack = nil, nil, time.Time{}, time.Time{}
	s.attempt(at)
}

func (s *State) end(e Event, m *flowv1.MigrationEnded) {
	if s.Plan != nil && s.Plan.GetObjectUid() == m.GetObjectUid() {
		s.Plan, s.Paused = nil, time.Time{}
		s.retry(e.At)
	}
}

func (s *State) steer(e Event, m *flowv1.MigrationSteered) {
	if !s.isOf(m.GetPlan()) {
		return
	}
	switch m.GetAction() {
	case flowv1.SteeringAction_STEERING_ACTION_ABORT:
		s.Aborted, s.HandledAbort = e.At, m.GetToken()
	case flowv1.SteeringAction_STEERING_ACTION_RETRY:
		s.HandledRetry = m.GetToken()
		s.retry(e.At)
	case flowv1.SteeringAction_STEERING_ACTION_PAUSE:
		if s.Paused.IsZero() {
			s.Paused = e.At
		}
	case flowv1.SteeringAction_STEERING_ACTION_RESUME:
		s.resume(e.At)
	}
}

// resume ends a pause. Of very many the first two become one, with what is
// between: rather that too little time counts than too much.
func (s *State) resume(at time.Time) {
	if s.Paused.IsZero() {
		return
	}
	s.Pauses = append(s.Pauses, Span{s.Paused, at})
	if len(s.Pauses) > pausesKept {
		s.Pauses[1].From = s.Pauses[0].From
		s.Pauses = slices.Clone(s.Pauses[1:])
	}
	s.Paused = time.Time{}
}

func (s *State) judge(e Event, m *flowv1.GateJudged) {
	if !s.isOf(m.GetPlan()) || m.GetEpoch() != s.Epoch {
		return
	}
	g := Gate{m.GetGate(), m.GetResult(), m.GetValue(), m.GetThreshold(), e.At}
	if i := slices.IndexFunc(s.Gates, func(before Gate) bool { return before.Name == g.Name }); i >= 0 {
		s.Gates[i] = g
		return
	}
	s.Gates = append(s.Gates, g)
}

func (s *State) count(e Event, m *flowv1.ApprovalCounted) {
	if !s.isOf(m.GetPlan()) || s.Approval == nil || s.Approval.Step != m.GetStep() {
		return
	}
	a := *s.Approval
	a.CountedAt, a.Name, a.UID, a.By = e.At, m.GetApproval(), m.GetApprovalUid(), m.GetBy()
	s.Approval = &a
	s.Counted = append(s.Counted, a.UID)
	s.Counted = slices.Clone(s.Counted[max(0, len(s.Counted)-countedKept):])
}

// prove adds what is about audits and proofs.
func (s *State) prove(e Event, message proto.Message) {
	switch m := message.(type) {
	case *flowv1.AuditRequested:
		if s.Plan != nil && m.GetBy() == s.Plan.GetBy() && m.GetEpoch() == s.Epoch {
			s.Audit = &Audit{ID: e.ID, At: e.At}
		}
	case *flowv1.AuditCompleted:
		if s.Audit != nil && s.Audit.ID == m.GetRequestId() {
			s.Audit = &Audit{ID: s.Audit.ID, At: s.Audit.At, Answered: true}
		}
	case *flowv1.ParityJudged:
		s.judged(e, m)
	}
}

func (s *State) judged(e Event, m *flowv1.ParityJudged) {
	turned := s.Proof == nil || s.Proof.GetOutcome() != m.GetOutcome()
	s.Proof = &Proof{m, e.At}
	if turned {
		s.ProvenAt, s.Told = e.At, s.Proof
	}
	if s.Audit == nil || s.Audit.ID != m.GetRequestId() {
		return // of an attempt that is over
	}
	s.Audit = nil
	run := Run{m.GetOutcome(), m.GetProduced() > 0, m.GetMissing(), m.GetDuplicated(), m.GetReordered(), m.GetUnexplained(), 1}
	if last := len(s.Runs) - 1; last >= 0 && s.Runs[last].same(run) {
		s.Runs[last].Count++
		return
	}
	s.Runs = append(s.Runs, run)
	s.Runs = slices.Clone(s.Runs[max(0, len(s.Runs)-runsKept):])
}

func (r Run) same(other Run) bool {
	r.Count, other.Count = 0, 0
	return r == other
}

// shade adds what is about shadows.
func (s *State) shade(e Event, message proto.Message) {
	switch m := message.(type) {
	case *flowv1.ShadowRequested:
		s.Shadow = &Shadow{ID: e.ID, Cadence: m.GetCadence(), By: m.GetBy()}
	case *flowv1.ShadowStarted:
		if s.Shadow != nil && s.Shadow.ID == m.GetShadowId() {
			s.Shadow.StartedAt = e.At
		}
	case *flowv1.ShadowEnded:
		if s.Shadow != nil && s.Shadow.ID == m.GetShadowId() {
			s.Shadow.Ended = true
		}
	}
}
