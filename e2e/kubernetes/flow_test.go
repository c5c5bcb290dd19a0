package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/triangle-suite/triangle/operator/config"
)

// An environment as the sample has it is installed by an operator that runs in the
// cluster, serves, and has one of its flows moved from weekly to real time, with a
// proof and somebody's word, while pods die; it is deleted, and what is installed
// again in its place has its data.
func TestAnEnvironmentServesAndMigratesAFlow(t *testing.T) {
	w := newWorld(t)
	w.installOperator()
	w.apply(w.sample("triangle-evaluation.yaml"))
	w.wait("triangle/triangle", "condition=Ready")
	w.podsAreRestricted()
	w.aContactIsAnswered()

	w.mustCommand("flow", "set", "customer-facts", "--cadence", "0 0 2 * * 1", "--reason", "so it was before")
	w.register(20)
	w.apply(flow)
	w.wait("informationflow/facts", "jsonpath={.status.currentStep}=often")
	w.register(20)
	w.kill("marketing")
	w.wait("informationflow/facts", "condition=AwaitingApproval")
	w.mustCommand("migrate", "approve", "facts", "--namespace", w.namespace, "--step", "realtime", "--reason", "the proof holds")
	w.wait("informationflow/facts", "condition=MigrationComplete")
	w.kill("event-store")
	w.register(20)
	w.allAreAccountedFor()

	w.kubectl("delete", "informationflow/facts", "triangle/triangle")
	w.until("what it owned is gone", func() bool {
		return w.kubectl("get", "statefulsets,jobs,services,serviceaccounts,pods", "--selector=app.kubernetes.io/instance=triangle", "--output=name") == ""
	})
	if claims := w.kubectl("get", "persistentvolumeclaims", "--output=name"); strings.Count(claims, "\n") != 5 {
		t.Errorf("of its volumes these stay:\n%swant the store's, the services' and that of the keys", claims)
	}

	w.apply(w.sample("triangle-evaluation.yaml"))
	w.wait("triangle/triangle", "condition=Ready")
	w.register(20)
	w.allAreAccountedFor()

	w.anImageThatIsNotThereChangesNothing()
}

// anImageThatIsNotThereChangesNothing names an image that no registry has: the
// environment says so, and goes on serving with the one that it has.
func (w *world) anImageThatIsNotThereChangesNothing() {
	w.Helper()
	const pod = "pod/triangle-channel-0"
	before := w.kubectl("get", pod, "--output=jsonpath={.metadata.uid}")
	w.kubectl("patch", "triangle", "triangle", "--type=merge", "--patch",
		fmt.Sprintf(`{"spec": {"rollout": {"deadline": "10s"}, "channel": {"image": %q}}}`, the.images.of("channel-support")+"-that-never-was"))
	w.wait("triangle/triangle", "condition=Stalled")
	if why := w.kubectl("get", "triangle", "triangle", `--output=jsonpath={.status.conditions[?(@.type=="Stalled")].message}`); !strings.Contains(why, "-that-never-was") {
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

// allAreAccountedFor tells how many customers the prober has sent, and what became of
// them in the flow's tables.
func (w *world) allAreAccountedFor() {
	w.Helper()
	var seen, lost, twice int
	w.until("every customer is accounted for", func() bool {
		seen, lost, twice = w.account()
		return lost+twice > 0 || seen == w.registered
	})
	w.Logf("customers: %d sent, %d seen, %d lost, %d twice", w.registered, seen, lost, twice)
	if lost+twice > 0 {
		w.Error("customers were lost, or came twice")
	}
}

// flow is one from weekly to real time, with two seconds for what comes between.
const flow = `
apiVersion: triangle.dev/v1alpha1
kind: InformationFlow
metadata:
  name: facts
spec:
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
func (w *world) installOperator() {
	w.Helper()
	for _, folder := range []string{config.CRD, config.RBAC, config.Admission} {
		w.applyFolder(folder)
	}
	text, err := os.ReadFile("testdata/operator.yaml")
	if err != nil {
		w.Fatal(err)
	}
	var manifests strings.Builder
	if err := template.Must(template.New("").Parse(string(text))).Execute(&manifests, the.images.of("triangle-operator")); err != nil {
		w.Fatal(err)
	}
	w.apply(manifests.String())
	w.wait("deployment/triangle-operator", "condition=Available")
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

// register has customers registered, each with a number of its own.
func (w *world) register(n int) {
	w.Helper()
	for range n {
		w.registered++
		w.call("sales", "/v1/customers", map[string]any{"customer_number": fmt.Sprintf("prober-%d", w.registered), "source": "prober"})
	}
}

// account has the flow audited from the first event on; it tells of nothing while
// the store is away.
func (w *world) account() (seen, lost, twice int) {
	w.Helper()
	out, err := w.command("flow", "audit", "customer-facts", "--from", "0", "--json")
	var audit struct {
		Versions []struct{ Delivered, Missing, Twice int }
	}
	if jsonErr := json.Unmarshal([]byte(out), &audit); jsonErr != nil {
		w.Logf("no account: %v: %v", err, jsonErr)
		return 0, 0, 0
	}
	for _, v := range audit.Versions {
		seen, lost, twice = seen+v.Delivered, lost+v.Missing, twice+v.Twice
	}
	return seen, lost, twice
}
