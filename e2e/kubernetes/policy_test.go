package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// A canary, which is nobody's, does not reach the store while the chart's policies hold,
// and does once they are gone; whoever may reach it does all the time, and so the suite
// works under its policies.
func TestPoliciesAreEnforced(t *testing.T) {
	w := newWorld(t)
	// The kinds are another test's, whose namespace is gone.
	w.helm("install", "triangle-operator", "../../charts/triangle-operator", "--set", w.images(), "--take-ownership", "--wait", "--timeout", patience.String())
	w.installEnvironment()

	w.storeIsReachedBy("somebody of the environment", environments, true)
	w.storeIsReachedBy("a canary", "", false)
	w.upgrade("--set", "networkPolicies.enabled=false")
	w.storeIsReachedBy("a canary, once the policies are gone", "", true)
	w.upgrade("--set", "networkPolicies.enabled=true")
	w.storeIsReachedBy("a canary, once the policies are back", "", false)
	w.helm("test", "triangle", "--timeout", patience.String())
	w.aContactIsAnswered()
}

// environments are the labels of those whom the chart lets out to the store, as it does
// its tests.
const environments = "app.kubernetes.io/instance: triangle, app.kubernetes.io/part-of: triangle, app.kubernetes.io/component: test"

// storeIsReachedBy has a pod ask the store for what flows there are, and wants it to be
// answered, or not.
func (w *world) storeIsReachedBy(who, labels string, want bool) {
	w.Helper()
	pod := w.kubectl("create", "-f", w.file("pod.yaml", fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {generateName: asks-the-store-, labels: {%s}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: asks
    image: %s/triangle:%s
    imagePullPolicy: IfNotPresent
    args: [flow, list, --timeout=20s]
    env: [{name: TRIANGLE_EVENTSTORE, value: "esdb://triangle-event-store:2113?tls=false"}]
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`, labels, the.images.registry, the.images.version)), "--output=name")
	pod = strings.TrimSpace(pod)
	var phase string
	w.until(who+" has been answered, or not", func() bool {
		phase = w.kubectl("get", pod, "--output=jsonpath={.status.phase}")
		return phase == "Succeeded" || phase == "Failed"
	})
	told := w.kubectl("logs", pod)
	if answered := phase == "Succeeded"; answered != want {
		w.Errorf("%s: the store answers: %t, want %t (is there anything that enforces NetworkPolicies on this cluster?):\n%s", who, answered, want, told)
	}
	if !want && !strings.Contains(told, "the event store does not answer") {
		w.Errorf("%s fails for another reason:\n%s", who, told)
	}
	w.Logf("%s: %s", who, phase)
}
