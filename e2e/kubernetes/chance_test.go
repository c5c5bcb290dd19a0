package kubernetes

import (
	"context"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A flow is moved from weekly to real time while customers are registered and all
// around it fails: pods are killed at random, the store is restarted, and the node is
// drained, which no PodDisruptionBudget keeps it from.
func TestAFlowMovesWhileAllAroundItFails(t *testing.T) {
	w := newWorld(t)
	node, _ := w.node()
	chance := w.chance()
	w.installOperator()
	w.installEnvironment()
	w.mustCommand("flow", "set", "customer-facts", "--cadence", "0 0 2 * * 1", "--reason", "so it was before")
	end := w.probe()
	w.goesOn(20)
	w.upgrade("--values", w.file("flows.yaml", flows))
	w.killAtRandom(chance, 6)
	w.wait("informationflow/facts", "condition=AwaitingApproval")

	w.drain(node)
	w.goesOn(20)
	w.mustCommand("migrate", "approve", "facts", "--namespace", w.namespace, "--step", "realtime", "--reason", "the proof holds")
	w.killAtRandom(chance, 3)
	w.restartStore()
	w.wait("informationflow/facts", "condition=MigrationComplete")
	w.killAtRandom(chance, 3)
	w.goesOn(20)
	end()
	w.allAreAccountedFor()
}

// chance is what kills are drawn from.
func (w *world) chance() *rand.Rand {
	begin := *seed
	if begin == 0 {
		begin = uint64(time.Now().UnixNano())
	}
	w.Logf("chance begins with %d: make e2e-full RUN=%s SEED=%d", begin, w.Name(), begin)
	return rand.New(rand.NewPCG(begin, 0))
}

// killAtRandom kills pods, or the processes of pods, one after the other, each after
// some more customers have been registered.
func (w *world) killAtRandom(chance *rand.Rand, times int) {
	w.Helper()
	for range times {
		component := append(slices.Clone(components), operator)[chance.IntN(len(components)+1)]
		w.goesOn(1 + chance.IntN(30))
		pods := w.pods(component)
		if len(pods) == 0 {
			w.Logf("%s is away already", component)
			continue
		}
		if chance.IntN(2) == 0 {
			w.Logf("after %d customers pod %s is killed", w.sent(), pods[0])
			w.killPod(pods[0])
			continue
		}
		w.Logf("after %d customers process %d of %s is killed", w.sent(), w.signal(pods[0], syscall.SIGKILL), pods[0])
	}
}

// drain drains the node, on which nothing of the environment runs then, and gives it
// back.
func (w *world) drain(node string) {
	w.Helper()
	began := time.Now()
	w.Cleanup(func() { // whatever becomes of the test
		if _, err := the.cluster.Kubectl(context.WithoutCancel(w.Context()), nil, "uncordon", node); err != nil {
			w.Error(err)
		}
	})
	w.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+patience.String())
	w.Logf("%5.1f s  the node is drained", time.Since(began).Seconds())
	for _, component := range append(slices.Clone(components), operator) {
		for _, pod := range w.pods(component) {
			if phase := w.kubectl("get", "pod", pod, "--output=jsonpath={.status.phase}"); phase != "Pending" {
				w.Errorf("pod %s is %s on a node that is drained", pod, phase)
			}
		}
	}
	began = time.Now()
	w.kubectl("uncordon", node)
	for _, component := range components {
		w.areReady("statefulset", component, "1")
	}
	w.areReady("deployment", operator, "1")
	w.Logf("%5.1f s  all is back on the node", time.Since(began).Seconds())
}

// restartStore restarts the store, in good order.
func (w *world) restartStore() {
	w.Helper()
	w.kubectl("rollout", "restart", "statefulset/triangle-event-store")
	w.kubectl("rollout", "status", "statefulset/triangle-event-store", "--timeout="+patience.String())
}
