package bench_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// bare is a client that moves flows and decides nothing: upon news it reads on in the
// flow's streams, appends what the operator would, and writes the status when the
// step is reached.
type bare struct {
	*world
	flows map[string]*bareFlow
	work  chan string
}

type bareFlow struct {
	waiting atomic.Bool // for its turn

	mu     sync.Mutex
	state  *migration.State
	object *v1alpha1.InformationFlow
	told   uint64 // the epoch that the status tells of
}

// atOnce is how many flows the operator works on at once.
const atOnce = 8

func newBare(w *world) *bare {
	w.Helper()
	c := &bare{world: w, flows: map[string]*bareFlow{}, work: make(chan string, len(w.names))}
	w.create(w.names)
	for _, name := range w.names {
		o := w.object(name)
		w.check(w.client.Get(w.Context(), client.ObjectKeyFromObject(o), o))
		c.flows[name] = &bareFlow{object: o, state: migration.New(flows.Flow{Name: name, Cadence: cadences[0]})}
	}
	w.background(c.run)
	for _, name := range w.names {
		c.turn(name)
	}
	return c
}

func (c *bare) run(ctx context.Context) error {
	ended := make(chan error, atOnce+1)
	go func() {
		ended <- c.world.flows.Follow(ctx, func(n control.News) { c.turn(n.Flow) })
	}()
	for range atOnce {
		go func() { ended <- c.lookAtAll(ctx) }()
	}
	var failure error
	for range atOnce + 1 {
		if err := <-ended; err != nil && ctx.Err() == nil {
			failure = err
		}
	}
	return failure
}

// turn has a flow looked at, once for all that has come until then.
func (c *bare) turn(name string) {
	if !c.flows[name].waiting.Swap(true) {
		c.work <- name
	}
}

func (c *bare) lookAtAll(ctx context.Context) error {
	for {
		select {
		case name := <-c.work:
			if err := c.look(ctx, name); err != nil {
				return fmt.Errorf("the bare client: %s: %w", name, err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *bare) look(ctx context.Context, name string) error {
	f := c.flows[name]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting.Store(false)
	s, by := f.state, "bare"
	read := func() error { return c.world.flows.FollowControl(ctx, s) }
	if err := c.world.flows.FollowMigration(ctx, s, true); err != nil {
		return err
	}
	if s.Plan == nil {
		if err := c.world.flows.Record(ctx, s, by, &flowv1.MigrationPlanned{Flow: name, Plan: "bare", By: by, Object: name, ObjectUid: "bare", Generation: 1}); err != nil {
			return err
		}
	}
	if p := s.Progress; s.Settled() && p.GetEpoch() == s.Epoch && s.Epoch < uint64(len(cadences)) {
		judged := &flowv1.GateJudged{
			Flow: name, Plan: "bare", Step: stepName(int(s.Epoch) - 1), Epoch: s.Epoch, Gate: "lag", Result: flowv1.GateVerdict_GATE_VERDICT_PASS, Value: "0", Threshold: "10",
		}
		asked := &flowv1.CadenceRequested{
			Flow: name, Epoch: s.Epoch + 1, Cadence: cadences[s.Epoch], By: by, Reason: "step " + stepName(int(s.Epoch)),
			Step: stepName(int(s.Epoch)), Plan: "bare", Move: flowv1.CadenceMove_CADENCE_MOVE_FORWARD,
		}
		if err := c.world.flows.Record(ctx, s, by, judged); err != nil {
			return err
		}
		if err := read(); err != nil {
			return err
		}
		if err := c.world.flows.Record(ctx, s, by, asked); err != nil {
			return err
		}
		return read()
	}
	if !s.Settled() || f.told == s.Epoch {
		return nil
	}
	f.told = s.Epoch
	return c.tell(ctx, f)
}

// tell writes a status of the size of the operator's.
func (c *bare) tell(ctx context.Context, f *bareFlow) error {
	before := f.object.DeepCopy()
	status := &f.object.Status
	step := stepName(int(f.state.Epoch) - 1)
	status.Epoch, status.Cadence, status.CurrentStep, status.TargetStep = int64(f.state.Epoch), f.state.Cadence, step, stepName(len(cadences)-1)
	status.From, status.To, status.PlanHash, status.ObservedGeneration = "sales", "marketing", "0123456789abcdef", 1
	status.Gates = []v1alpha1.GateStatus{{Name: "lag", Result: v1alpha1.GateUnknown, Value: "the consumer has not told yet", Threshold: "10"}}
	status.History = nil
	for _, r := range f.state.History {
		status.History = append(status.History, v1alpha1.Transition{At: metav1.NewTime(r.At), Epoch: int64(r.Epoch), Step: r.Step, By: r.By, Reason: r.Reason})
	}
	status.Conditions = nil
	for _, kind := range []string{"AwaitingApproval", "EventStoreReachable", "GatesPassing", "MigrationComplete", "ParityVerified", "Paused", "Ready", "RolledBack"} {
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: "AtStep", Message: "the flow is at step " + step + "; gate lag has to be: 10", LastTransitionTime: metav1.NewTime(time.Now()),
		})
	}
	return c.client.Status().Patch(ctx, f.object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
