package plan_test

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// model is a store, a flow's consumer and an operator, all in memory: what they do
// to a flow's streams, and nothing of how.
type model struct {
	spec plan.Spec
	flow flows.Flow
	now  time.Time

	// The streams.
	control  []migration.Event
	shadows  map[string][]migration.Event
	progress []migration.Event
	hours    []migration.Event
	state    *migration.State

	// The watch: what the operator knows of it, and what is true.
	until   time.Time
	lapses  []migration.Span
	watched []migration.Span
	paused  []migration.Span

	approvals   []plan.ApprovalSeen
	unreachable string

	// The consumer.
	cadence string
	epoch   uint64
	taken   uint64 // the place that it has come to
	from    uint64 // where the epoch began
	lag     uint64
	stale   time.Duration // of each hour
	faults  flowv1.ParityJudged
	differs bool // a shadow does
	frozen  bool // it does nothing

	// twist changes what the planner sees, for planted bugs.
	twist func(*plan.Spec, *plan.Observation)
	did   func(plan.Action)
	wrong func(format string, args ...any)
}

func newModel(spec plan.Spec, start time.Time, wrong func(string, ...any)) *model {
	m := &model{
		spec: spec, flow: spec.Flow, now: start, until: start, shadows: map[string][]migration.Event{},
		cadence: spec.Flow.Cadence, epoch: 1, taken: 1, did: func(plan.Action) {}, wrong: wrong,
	}
	m.state = migration.New(m.flow)
	return m
}

func event(stream []migration.Event, at time.Time, prefix string, m proto.Message) migration.Event {
	return migration.Event{
		ID: fmt.Sprintf("%s-%d", prefix, len(stream)), Type: string(m.ProtoReflect().Descriptor().FullName()),
		Revision: uint64(len(stream)), At: at, Message: m,
	}
}

func (m *model) write(message proto.Message) {
	e := event(m.control, m.now, "control", message)
	m.control = append(m.control, e)
	m.state.Apply(e)
}

func (m *model) writeShadow(id string, message proto.Message) {
	e := event(m.shadows[id], m.now, id, message)
	m.shadows[id] = append(m.shadows[id], e)
	if m.state.Shadow != nil && m.state.Shadow.ID == id {
		m.state.ApplyShadow(e)
	}
}

// tell says how far the consumer is.
func (m *model) tell() {
	e := event(m.progress, m.now, "progress", &flowv1.FlowProgressed{
		Flow: m.flow.Name, Epoch: m.epoch, Position: &flowv1.Position{Commit: m.taken, Prepare: m.taken}, Lag: proto.Uint64(m.lag),
	})
	m.progress = append(m.progress, e)
	m.state.ApplyProgress(e)
}

// anew folds everything again.
func (m *model) anew() *migration.State {
	s := migration.New(m.flow)
	for _, e := range m.control {
		s.Apply(e)
	}
	if s.Shadow != nil && !s.Shadow.StartedAt.IsZero() {
		for _, e := range m.shadows[s.Shadow.ID] {
			s.ApplyShadow(e)
		}
	}
	if n := len(m.progress); n > 0 {
		s.ApplyProgress(m.progress[n-1])
	}
	for _, e := range m.hours {
		s.ApplyHour(e)
	}
	return s
}

// plan looks at everything once.
func (m *model) plan() plan.Plan {
	spec := m.spec
	o := plan.Observation{Migration: m.state, Until: m.until, Lapses: m.lapses, Approvals: m.approvals, Unreachable: m.unreachable}
	if m.twist != nil {
		spec.Steps = slices.Clone(spec.Steps)
		for i := range spec.Steps {
			spec.Steps[i].Gates = slices.Clone(spec.Steps[i].Gates)
		}
		m.twist(&spec, &o)
	}
	return plan.Next(spec, o, m.now)
}

// operate does what there is to do, until there is nothing.
func (m *model) operate() plan.Plan {
	const most = 60
	for range most {
		p := m.plan()
		if p.Action.Kind == plan.Nothing {
			return p
		}
		m.did(p.Action)
		m.act(p.Action)
	}
	m.wrong("after %d actions there is still something to do: %v", most, m.plan().Action)
	return plan.Plan{}
}

func (m *model) act(a plan.Action) {
	switch a.Kind {
	case plan.Compare:
		m.writeShadow(m.state.Shadow.ID, &flowv1.MarkerSet{})
	case plan.JudgeParity:
		m.write(m.judge(a.Step))
	default:
		if steered, ok := a.Event.(*flowv1.MigrationSteered); ok {
			m.notePause(steered.GetAction())
		}
		m.write(a.Event)
	}
}

func (m *model) notePause(action flowv1.SteeringAction) {
	switch action {
	case flowv1.SteeringAction_STEERING_ACTION_PAUSE:
		m.paused = append(m.paused, migration.Span{From: m.now})
	case flowv1.SteeringAction_STEERING_ACTION_RESUME:
		m.paused[len(m.paused)-1].Until = m.now
	}
}

// judge is what holding the consumer's answer against the log gives.
func (m *model) judge(step string) *flowv1.ParityJudged {
	found := &flowv1.ParityJudged{
		Flow: m.flow.Name, Plan: m.state.Plan.GetPlan(), Step: step, Epoch: m.epoch, RequestId: m.state.Audit.ID,
		From: &flowv1.Position{Commit: m.from, Prepare: m.from}, To: &flowv1.Position{Commit: m.taken, Prepare: m.taken},
		Produced: m.taken - m.from, Missing: m.faults.GetMissing(), Duplicated: m.faults.GetDuplicated(), Reordered: m.faults.GetReordered(),
		Unexplained: m.faults.GetUnexplained(),
		Intake:      flowv1.DigestMatch_DIGEST_MATCH_SAME, Content: flowv1.DigestMatch_DIGEST_MATCH_SAME,
		Outcome: flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED,
	}
	found.Delivered = found.GetProduced() - found.GetMissing()
	if found.GetMissing()+found.GetDuplicated()+found.GetReordered()+found.GetUnexplained() > 0 {
		found.Outcome, found.Intake = flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED, flowv1.DigestMatch_DIGEST_MATCH_DIFFERENT
	}
	return found
}

// consume is what the consumer does when it comes round: it follows every request.
func (m *model) consume() {
	if m.frozen || m.unreachable != "" {
		return
	}
	for _, e := range m.control {
		if r, ok := e.Message.(*flowv1.CadenceRequested); ok && r.GetEpoch() > m.epoch {
			m.epoch, m.cadence, m.from = r.GetEpoch(), r.GetCadence(), m.taken
			m.write(&flowv1.CadenceAdopted{
				Flow: m.flow.Name, Epoch: m.epoch, Cadence: m.cadence, Position: &flowv1.Position{Commit: m.taken, Prepare: m.taken},
			})
		}
	}
	if s := m.state.Shadow; s != nil && !s.Ended {
		if s.StartedAt.IsZero() {
			m.write(&flowv1.ShadowStarted{Flow: m.flow.Name, ShadowId: s.ID, Cadence: s.Cadence})
		} else if s.Waiting != "" {
			outcome := flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL
			if m.differs {
				outcome = flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT
			}
			m.writeShadow(s.ID, &flowv1.ShadowCompared{Flow: m.flow.Name, ShadowId: s.ID, MarkerId: s.Waiting, Outcome: outcome, RowsDiffering: 2})
		}
	}
	if a := m.state.Audit; a != nil && !a.Answered {
		m.write(&flowv1.AuditCompleted{Flow: m.flow.Name, RequestId: a.ID, Outcome: flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED})
	}
	m.tell()
}

// pass lets time go by. When it is watched, heartbeats come; else the next one
// tells of a lapse.
func (m *model) pass(d time.Duration, watched bool) {
	from := m.now
	for end := m.now.Add(d); m.now.Before(end); {
		next := m.now.Truncate(time.Hour).Add(time.Hour)
		if next.After(end) {
			m.now = end
			break
		}
		m.now = next
		m.measure()
	}
	if watched {
		m.watched = append(m.watched, migration.Span{From: from, Until: m.now})
		m.beat()
	}
}

// beat is a heartbeat, and tells of a lapse when there was none for long.
func (m *model) beat() {
	watchedSince := m.now
	if n := len(m.watched); n > 0 && m.watched[n-1].Until.Equal(m.now) {
		watchedSince = m.watched[n-1].From
	}
	if watchedSince.After(m.until) {
		m.lapses = append(m.lapses, migration.Span{From: m.until, Until: watchedSince})
	}
	m.until = m.now
}

// measure tells of the hour that has ended.
func (m *model) measure() {
	if m.frozen || m.unreachable != "" {
		return
	}
	objective := objectiveAt(m.flow, m.cadence)
	if objective.Staleness == 0 {
		return
	}
	e := event(m.hours, m.now, "hours", &flowv1.FreshnessMeasured{
		Flow: m.flow.Name, Epoch: m.epoch, Since: timestamppb.New(m.now.Add(-time.Hour)), Total: durationpb.New(time.Hour), Good: durationpb.New(time.Hour - m.stale),
		Objective: &flowv1.Objective{Staleness: durationpb.New(objective.Staleness), Share: objective.Share},
	})
	m.hours = append(m.hours, e)
	m.state.ApplyHour(e)
}

// objectives are kept: each takes a look through a year.
var objectives sync.Map

func objectiveAt(flow flows.Flow, cadence string) (o flows.Objective) {
	if kept, ok := objectives.Load(cadence); ok {
		return kept.(flows.Objective)
	}
	if parsed, err := flows.ParseCadence(cadence); err == nil {
		o, _ = flow.ObjectiveAt(parsed)
	}
	objectives.Store(cadence, o)
	return o
}

// set is somebody who breaks the glass.
func (m *model) set(cadence string) {
	m.write(&flowv1.CadenceRequested{
		Flow: m.flow.Name, Epoch: m.state.Asked.Epoch + 1, Cadence: cadence, By: "ada", Move: flowv1.CadenceMove_CADENCE_MOVE_BREAK_GLASS,
	})
}
