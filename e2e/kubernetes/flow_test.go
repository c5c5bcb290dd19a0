package kubernetes

import (
	"encoding/json"
	"strings"
	"testing"
)

// An environment is installed with helm, in the profile for evaluation, passes its test,
// serves, and has one of its flows moved from weekly to real time, with a proof and
// somebody's word, while pods die; it is backed up, uninstalled, and what is installed
// again in its place has its data.
func TestAnEnvironmentServesAndMigratesAFlow(t *testing.T) {
	w := newWorld(t)
	w.installOperator()
	w.installEnvironment()
	w.podsAreRestricted()
	w.aContactIsAnswered()
	w.helm("test", "triangle", "--timeout", patience.String())

	w.mustCommand("flow", "set", "customer-facts", "--cadence", "0 0 2 * * 1", "--reason", "so it was before")
	w.register(20)
	w.upgrade("--values", w.file("flows.yaml", flows), "--wait")
	w.wait("informationflow/facts", "jsonpath={.status.currentStep}=often")
	w.register(20)
	w.kill("marketing")
	w.wait("informationflow/facts", "condition=AwaitingApproval")
	w.mustCommand("migrate", "approve", "facts", "--namespace", w.namespace, "--step", "realtime", "--reason", "the proof holds")
	w.wait("informationflow/facts", "condition=MigrationComplete")
	w.kill("event-store")
	w.register(20)
	w.allAreAccountedFor()

	w.isBackedUp()
	w.helm("uninstall", "triangle", "--wait", "--timeout", patience.String())
	w.until("what it owned is gone", func() bool {
		return w.kubectl("get", "statefulsets,jobs,services,serviceaccounts,pods", "--selector=app.kubernetes.io/instance=triangle,app.kubernetes.io/component!=test", "--output=name") == ""
	})
	if claims := w.kubectl("get", "persistentvolumeclaims", "--output=name"); strings.Count(claims, "\n") != 6 {
		t.Errorf("of its volumes these stay:\n%swant the store's, the services', that of the keys and that of backups", claims)
	}

	w.installEnvironment()
	w.register(20)
	w.allAreAccountedFor()
	w.helm("test", "triangle", "--timeout", patience.String())

	w.anImageThatIsNotThereChangesNothing()
}

// anImageThatIsNotThereChangesNothing names an image that no registry has: the
// environment says so, and goes on serving with the one that it has.
func (w *world) anImageThatIsNotThereChangesNothing() {
	w.Helper()
	const pod = "pod/triangle-channel-0"
	before := w.kubectl("get", pod, "--output=jsonpath={.metadata.uid}")
	w.upgrade("--set", "rollout.deadline=10s,channel.image.tag=that-never-was")
	w.wait("triangle/triangle", "condition=Stalled")
	if why := w.kubectl("get", "triangle", "triangle", `--output=jsonpath={.status.conditions[?(@.type=="Stalled")].message}`); !strings.Contains(why, ":that-never-was") {
		w.Errorf("it stalls with %q, which does not name the image", why)
	}
	if after := w.kubectl("get", pod, "--output=jsonpath={.metadata.uid}"); after != before {
		w.Error("the channel's pod has been replaced")
	}
	w.aContactIsAnswered()
}

// aContactIsAnswered has a customer call, whom the channel knows.
func (w *world) aContactIsAnswered() {
	w.Helper()
	w.register(1)
	answer := w.call("channel", "/v1/contacts", map[string]any{
		"channel": "CHANNEL_CALL_CENTRE", "visitor_id": "phone", "claims": map[string]any{"customer_number": "prober-1"},
	})
	if contact, _ := answer["contact"].(map[string]any); contact["customerId"] == nil || contact["contactId"] == nil {
		w.Errorf("the channel answers %v, want a contact of the customer", answer)
	}
}

// kill kills a component's pod, as a node that fails does, and waits until another
// one serves.
func (w *world) kill(component string) {
	w.Helper()
	pod := "pod/triangle-" + component + "-0"
	before := w.kubectl("get", pod, "--output=jsonpath={.metadata.uid}")
	w.kubectl("delete", pod, "--grace-period=0", "--force")
	w.until("another "+pod, func() bool {
		uid, err := the.cluster.Kubectl(w.Context(), nil, "--namespace", w.namespace, "get", pod, "--output=jsonpath={.metadata.uid}")
		return err == nil && uid != before
	})
	w.wait(pod, "condition=Ready")
}

// flows has one from weekly to real time, with two seconds for what comes between.
const flows = `
flows:
- name: facts
  flow: customer-facts
  migration:
    steps:
    - name: weekly
      cadence: {cron: "0 0 2 * * 1"}
    - name: often
      cadence: {cron: "*/2 * * * * *"}
      gates:
      - {name: parity, parity: {missing: 0, duplicated: 0, reordered: 0}}
    - name: realtime
      cadence: {mode: RealTime}
      approval: {mode: Required}
`

// installOperator installs the kinds, who may do what, and the operator itself.
func (w *world) installOperator(args ...string) {
	w.Helper()
	w.helm(append([]string{"install", "triangle-operator", "../../charts/triangle-operator", "--set", w.images(), "--wait", "--timeout", patience.String()}, args...)...)
}

// installEnvironment installs the Triangle, and waits until it serves.
func (w *world) installEnvironment(args ...string) {
	w.Helper()
	w.declareEnvironment(args...)
	w.wait("triangle/triangle", "condition=Ready")
}

// declareEnvironment installs the Triangle, and does not wait.
func (w *world) declareEnvironment(args ...string) {
	w.Helper()
	w.helm(append([]string{
		"install", "triangle", "../../charts/triangle", "--values", "../../charts/triangle/values-evaluation.yaml",
		"--set", w.images() + ",backup.enabled=true",
	}, args...)...)
}

// upgrade changes what is said, and nothing else.
func (w *world) upgrade(args ...string) {
	w.Helper()
	w.helm(append([]string{"upgrade", "triangle", "../../charts/triangle", "--reuse-values", "--timeout", patience.String()}, args...)...)
}

// images are those under test.
func (w *world) images() string {
	return "image.registry=" + the.images.registry + ",image.tag=" + the.images.version
}

// isBackedUp has a backup made now, as somebody does before he changes something.
func (w *world) isBackedUp() {
	w.Helper()
	w.kubectl("create", "job", "--from=cronjob/triangle-backup", "now")
	w.wait("job/now", "condition=Complete")
	for container, want := range map[string]string{"events": "events added to /backup/events.jsonl", "keys": "keys copied"} {
		if told := w.kubectl("logs", "job/now", "--container="+container); !strings.Contains(told, want) {
			w.Errorf("the backup of the %s says %q, want that %q", container, told, want)
		}
	}
}

// podsAreRestricted wants each pod to be as the namespace admits them, and to serve
// since it was started, without a restart.
func (w *world) podsAreRestricted() {
	w.Helper()
	var pods struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				SecurityContext struct{ RunAsNonRoot bool }
				Containers      []struct {
					SecurityContext struct{ ReadOnlyRootFilesystem bool }
				}
			}
			Status struct {
				ContainerStatuses []struct{ RestartCount int }
			}
		}
	}
	if err := json.Unmarshal([]byte(w.kubectl("get", "pods", "--output=json")), &pods); err != nil {
		w.Fatal(err)
	}
	if len(pods.Items) < 5 {
		w.Errorf("there are %d pods, want the operator, the store and three services", len(pods.Items))
	}
	for _, pod := range pods.Items {
		for i, c := range pod.Spec.Containers {
			if !pod.Spec.SecurityContext.RunAsNonRoot || !c.SecurityContext.ReadOnlyRootFilesystem {
				w.Errorf("pod %s is %+v", pod.Metadata.Name, pod.Spec)
			}
			if n := pod.Status.ContainerStatuses[i].RestartCount; n != 0 {
				w.Errorf("pod %s was restarted %d times", pod.Metadata.Name, n)
			}
		}
	}
}
