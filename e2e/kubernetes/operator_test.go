package kubernetes

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who leads the operators is killed, another one stands still past its lease and goes
// on, and all of them are replaced by others, and those by the first ones, each time
// while a flow is on its way from weekly to real time: it arrives, and no step is taken
// twice.
func TestTheOperatorIsReplacedWhileAFlowMoves(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.installOperator("--set", "replicas=2")
	w.installEnvironment()
	w.mustCommand("flow", "set", "customer-facts", "--cadence", "0 0 2 * * 1", "--reason", "so it was before")
	end := w.probe()
	w.goesOn(20)

	w.upgrade("--values", w.file("flows.yaml", approvedEachTime))
	leads := w.leader()
	w.killPod(leads)
	w.Logf("%s led and was killed; %s leads", leads, w.leaderAfter(leads))
	w.wait("informationflow/facts", "condition=AwaitingApproval")

	w.whileTheLeaderStandsStill(func() { w.comesTo("twos") })
	w.wait("informationflow/facts", "condition=AwaitingApproval")
	w.operatorIsReplaced(func() { w.comesTo("ones") }, "upgrade", operator, "../../charts/triangle-operator", "--reuse-values", "--set", "image.tag="+the.images.next())
	w.wait("informationflow/facts", "condition=AwaitingApproval")
	w.operatorIsReplaced(func() { w.comesTo("realtime") }, "rollback", operator, "1")
	w.wait("informationflow/facts", "condition=MigrationComplete")
	w.goesOn(20)
	end()
	w.everyStepIsTakenOnce()
	w.allAreAccountedFor()
}

// approvedEachTime has somebody's word before each step but the first ones.
const approvedEachTime = `
flows:
- name: facts
  flow: customer-facts
  migration:
    steps:
    - name: weekly
      cadence: {cron: "0 0 2 * * 1"}
    - name: fives
      cadence: {cron: "*/5 * * * * *"}
      gates:
      - {name: parity, parity: {missing: 0, duplicated: 0, reordered: 0}}
    - name: twos
      cadence: {cron: "*/2 * * * * *"}
      approval: {mode: Required}
      gates:
      - {name: parity, parity: {missing: 0, duplicated: 0, reordered: 0}}
    - name: ones
      cadence: {cron: "* * * * * *"}
      approval: {mode: Required}
    - name: realtime
      cadence: {mode: RealTime}
      approval: {mode: Required}
`

// comesTo gives somebody's word for a step, and waits until the flow is there.
func (w *world) comesTo(step string) {
	w.Helper()
	w.mustCommand("migrate", "approve", "facts", "--namespace", w.namespace, "--step", step, "--reason", "the proof holds")
	w.wait("informationflow/facts", "jsonpath={.status.currentStep}="+step)
}

// operatorIsReplaced has helm replace the operator's replicas by others, and does
// something meanwhile.
func (w *world) operatorIsReplaced(meanwhile func(), args ...string) {
	w.Helper()
	before := w.pods(operator)
	w.helm(args...)
	meanwhile()
	w.kubectl("rollout", "status", "deployment/"+operator, "--timeout="+patience.String())
	w.until("none of the operator's pods before", func() bool {
		return !slices.ContainsFunc(w.pods(operator), func(pod string) bool { return slices.Contains(before, pod) })
	})
}

// leader is the pod of the operator that leads, by the lease that they agree on.
func (w *world) leader() (pod string) {
	w.Helper()
	return w.leaderAfter("")
}

// leaderAfter is the one that leads when another one does not any more.
func (w *world) leaderAfter(before string) (pod string) {
	w.Helper()
	w.until("another leader than "+before, func() bool {
		holder := w.kubectl("get", "lease", operator, "--output=jsonpath={.spec.holderIdentity}")
		pod, _, _ = strings.Cut(holder, "_")
		return pod != "" && pod != before
	})
	return pod
}

// whileTheLeaderStandsStill has the leader's process stand still until another one
// leads and has done something. When it goes on it ends, as it does not lead any more.
func (w *world) whileTheLeaderStandsStill(do func()) {
	w.Helper()
	leads := w.leader()
	pid := w.signal(leads, syscall.SIGSTOP)
	began := time.Now()
	w.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it has ended, unless the test has failed
	next := w.leaderAfter(leads)
	w.Logf("%s led and stands still; %s leads after %.1f s", leads, next, time.Since(began).Seconds())
	do()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		w.Fatalf("%s has ended meanwhile: %v", leads, err)
	}
	w.Logf("%s goes on after %.1f s", leads, time.Since(began).Seconds())
	w.until("the end of who led", func() bool { return gone(pid) })
	w.areReady("deployment", operator, "2")
}

var epochStep = regexp.MustCompile(`epoch \d+ (asked for|began|closed)`)

// everyStepIsTakenOnce wants each word about an epoch to stand once in the flow's
// history: an epoch per step, after the one that the flow had before.
func (w *world) everyStepIsTakenOnce() {
	w.Helper()
	told, err := w.command("flow", "history", "customer-facts")
	if err != nil {
		w.Fatal(err)
	}
	times := map[string]int{}
	for line := range strings.Lines(told) {
		if step := epochStep.FindString(line); step != "" {
			times[step]++
			w.Log(strings.TrimSpace(line))
		}
	}
	for step, n := range times {
		if n != 1 {
			w.Errorf("%s: %d times, want once", step, n)
		}
	}
	if times["epoch 6 began"] != 1 || times["epoch 7 asked for"] != 0 {
		w.Errorf("the epochs are %v, want six", times)
	}
}
