package plan_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/controltest"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// migrated is a real consumer whose flow is moved by the plan, through the store: what
// the operator does, without Kubernetes.
type migrated struct {
	*controltest.Consumer

	t     *testing.T
	spec  plan.Spec
	state *migration.State
	watch *control.Watch

	produced int
}

// byParity moves request-status from daily by quick windows to real time, with
// parity proven three times at each, or nothing but a lag that all have.
func byParity(t *testing.T, gate bool) plan.Spec {
	t.Helper()
	gates := []v1alpha1.Gate{{Name: "lag", Lag: &v1alpha1.LagGate{MaxEvents: 1 << 40}, For: "1m"}}
	if gate {
		gates = []v1alpha1.Gate{{Name: "parity", Parity: &v1alpha1.ParityGate{}, Consecutive: 3}}
	}
	object := &v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: controltest.Flow, UID: "one", Generation: 1}}
	object.Spec = v1alpha1.InformationFlowSpec{Flow: controltest.Flow, Migration: v1alpha1.Migration{Steps: []v1alpha1.Step{
		{Name: "daily", Cadence: v1alpha1.Cadence{Cron: "0 2 * * *"}},
		{Name: "minutes", Cadence: v1alpha1.Cadence{Cron: "* * * * *"}, Gates: gates},
		{Name: "realtime", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}, Gates: gates},
	}}}
	spec, err := plan.Read(object, flows.Find, monday)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func migrate(t *testing.T, fault controltest.Fault, gate bool) *migrated {
	t.Helper()
	m := &migrated{Consumer: controltest.Start(t, controltest.Options{Fault: fault}), t: t, spec: byParity(t, gate)}
	flow, _ := flows.Find(controltest.Flow)
	m.state, m.watch = migration.New(flow), m.Flows.Watch("operator-0")
	return m
}

// round looks once, and does what there is to do.
func (m *migrated) round(ctx context.Context) error {
	if err := m.Flows.FollowMigration(ctx, m.state, true); err != nil {
		return err
	}
	p := plan.Next(m.spec, plan.Observation{Migration: m.state, Until: m.watch.Until, Lapses: m.watch.Lapses}, time.Now())
	switch p.Action.Kind {
	case plan.Nothing:
		return nil
	case plan.Compare:
		return m.Flows.RecordComparison(ctx, m.state, plan.Operator)
	case plan.JudgeParity:
		judged, err := m.Flows.JudgeParity(ctx, m.state, p.Action.Step)
		if err != nil {
			return err
		}
		p.Action.Event = judged
	}
	return m.Flows.Record(ctx, m.state, plan.Operator, p.Action.Event)
}

// until lets time pass while events come, and the operator looks, until something is
// so.
func (m *migrated) until(ready func() bool) {
	m.t.Helper()
	for end := time.Now().Add(30 * time.Minute); !ready(); {
		if time.Now().After(end) {
			m.t.Fatalf("after half an hour the flow runs %s, after %q; last proof %v", m.state.Cadence, m.reached(), m.state.Proof)
		}
		m.Produce(100)
		m.produced += 100
		<-time.After(10 * time.Second)
		if err := m.watch.Beat(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
		for range 5 {
			synctest.Wait()
			if err := m.round(m.t.Context()); err != nil && !errors.Is(err, control.ErrDeposed) {
				m.t.Fatal(err)
			}
		}
	}
}

// reached is how the flow was moved.
func (m *migrated) reached() (steps []string) {
	for _, r := range m.state.History {
		steps = append(steps, r.Move.String()[len("CADENCE_MOVE_"):]+" "+r.Step)
	}
	return steps
}

func (m *migrated) inRealTime() bool { return m.state.Cadence == flows.RealTime && m.state.Settled() }

// A consumer that loses, doubles or swaps one row in a thousand, or lies about its
// windows, fails parity and is taken back. Without the gate it is promoted: it is
// the gate that has found it.
func TestAConsumerAtFaultIsTakenBack(t *testing.T) {
	faults := []controltest.Fault{controltest.LosesRows, controltest.DoublesRows, controltest.SwapsRows, controltest.LiesAboutWindows}
	for _, fault := range faults {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := migrate(t, fault, true)
				m.until(func() bool { return !m.state.RolledBack.IsZero() && m.state.Settled() })
				proof := m.state.Proof
				if proof == nil || proof.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED {
					t.Fatalf("the last proof is %v, want one that fails", proof)
				}
				if m.state.Cadence != "0 2 * * *" {
					t.Errorf("the flow runs %s after %q, want it to be taken back to daily", m.state.Cadence, m.reached())
				}
				t.Log(proof.GetProduced(), "events,", proof.GetObjections())
			})
		})
		t.Run(fault.String()+", and nobody looks", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := migrate(t, fault, false)
				m.until(func() bool { return m.inRealTime() && m.produced > 1000 })
				if !m.state.RolledBack.IsZero() || m.state.Proof != nil {
					t.Errorf("somebody looked: %v", m.state.Proof)
				}
			})
		})
	}
	t.Run("sound", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := migrate(t, controltest.Sound, true)
			m.until(func() bool { return m.inRealTime() && len(m.state.Runs) > 0 })
			if proof := m.state.Proof; proof.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED || proof.GetEpoch() != m.state.Epoch {
				t.Errorf("the last proof is %v, want one of epoch %d that holds", proof, m.state.Epoch)
			}
		})
	})
}
