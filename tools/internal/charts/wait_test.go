package charts_test

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// A flow that runs right at its step is ready, however long its migration takes: helm
// upgrade --wait goes on. It would wait for one that is being changed, where helm looks
// at such kinds, which helm 3 does not.
func TestAnUpgradeDoesNotWaitForAMigration(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		namespace := c.server.Namespace(t)
		h = h.in(c.server, namespace)
		c.operator(h, namespace)
		upgrade := slices.Concat([]string{"upgrade", "--install", "shop", "--namespace", namespace, "--wait"}, profile("evaluation"), []string{
			"--set", "flows[0].flow=contacts,flows[0].migration.steps[0].name=weekly,flows[0].migration.steps[0].cadence.cron=0 2 * * 1",
			"--set", "flows[0].migration.steps[1].name=now,flows[0].migration.steps[1].cadence.mode=RealTime,flows[0].migration.steps[1].approval.mode=Required",
		})
		waits := []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "AtStep"},
			{Type: v1alpha1.ConditionAwaitingApproval, Status: metav1.ConditionTrue, Reason: "Awaiting"},
			{Type: v1alpha1.ConditionMigrationComplete, Status: metav1.ConditionFalse, Reason: "Underway"},
		}
		stop := c.tell(namespace, waits)
		h.must(append(upgrade, "--timeout", "100s")...)
		h.must(append(upgrade, "--timeout", "100s", "--set", "flows[0].state=Paused")...)
		stop()
		if h.four() {
			changes := append(slices.Clone(waits), metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: "CutOver"})
			defer c.tell(namespace, changes)()
			h.refuses("InProgress", append(upgrade, "--timeout", "8s")...)
		}
	})
}

// tell has the test say of all Triangles and flows of a namespace what the operator would
// say of them, until it is stopped.
func (c cluster) tell(namespace string, conditions []metav1.Condition) (stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.tellOnce(ctx, namespace, conditions)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (c cluster) tellOnce(ctx context.Context, namespace string, conditions []metav1.Condition) {
	for i := range conditions {
		conditions[i].LastTransitionTime = metav1.Now()
	}
	var flows v1alpha1.InformationFlowList
	var triangles v1alpha1.TriangleList
	// What can't be told now is told the next time.
	_ = c.admin.List(ctx, &flows, client.InNamespace(namespace))
	for i := range flows.Items {
		f := &flows.Items[i]
		f.Status.ObservedGeneration, f.Status.Conditions = f.Generation, conditions
		_ = c.admin.Status().Update(ctx, f)
	}
	_ = c.admin.List(ctx, &triangles, client.InNamespace(namespace))
	for i := range triangles.Items {
		one := &triangles.Items[i]
		one.Status.ObservedGeneration, one.Status.Conditions = one.Generation, conditions[:1]
		_ = c.admin.Status().Update(ctx, one)
	}
}
