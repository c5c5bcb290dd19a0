package kubernetes

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A store that is had again from a backup lacks what was written since. Who has taken in
// more says so, and does not get ready; on new databases all do, and know what the
// backup holds.
func TestAStoreThatIsOlderThanItsReadersIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.installOperator()
	w.installEnvironment()
	w.mustCommand("flow", "set", "customer-facts", "--cadence", "realtime", "--reason", "so it runs")
	w.register(20)
	w.allAreAccountedFor()
	w.isBackedUp()
	kept := w.sent()
	w.register(20)
	w.allAreAccountedFor()

	w.helm("uninstall", "triangle", "--wait", "--timeout", patience.String())
	w.podsAreGone()
	w.restoreStore()
	w.declareEnvironment()
	w.areNotReady()

	for _, service := range readers { // as the sentence says
		w.kubectl("delete", "persistentvolumeclaim", "data-triangle-"+service+"-0", "--wait=false")
		w.killPod("triangle-" + service + "-0")
	}
	w.wait("triangle/triangle", "condition=Ready")
	w.Logf("of %d customers the backup has %d", w.sent(), kept)
	w.registered.Store(int64(kept))
	w.allAreAccountedFor()
}

// readers are the services that have taken in customers who are not in the backup:
// sales has its own views of them, too.
var readers = []string{"channel", "sales", "marketing"}

// foreignStore is how a service says it.
const foreignStore = "it has been restored, or belongs to another environment; connect the right store, or start on a new database"

// areNotReady wants each reader to say that the store was restored, and not to be
// ready for that reason; and their Triangle to say so.
func (w *world) areNotReady() {
	w.Helper()
	for _, service := range readers {
		pod := "triangle-" + service + "-0"
		w.until(service+" to say that the store was restored", func() bool {
			log, err := the.cluster.Kubectl(w.Context(), nil, "--namespace", w.namespace, "logs", pod)
			return err == nil && strings.Contains(log, foreignStore)
		})
		told := w.get(service, "/readyz")
		w.Logf("%s: %s", service, told)
		if !strings.Contains(told, foreignStore) {
			w.Errorf("it does not say that %s", foreignStore)
		}
		if ready := w.kubectl("get", "pod", pod, `--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}`); ready != "False" {
			w.Errorf("pod %s is ready: %s", pod, ready)
		}
	}
	w.until("the Triangle to say so", func() bool {
		return strings.Contains(w.condition("Ready"), strings.Join(readers, ", ")+" not ready")
	})
}

// get asks a service for a path until it answers, whatever it answers.
func (w *world) get(service, path string) (body string) {
	w.Helper()
	w.until(service+path+" answers", func() bool {
		r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+w.at(service)+path, nil)
		if err != nil {
			w.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			w.lost(service)
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		body = answer.Status + " " + string(text)
		return err == nil
	})
	return body
}

// podsAreGone waits until nothing of the environment runs.
func (w *world) podsAreGone() {
	w.Helper()
	w.until("the environment's pods are gone", func() bool {
		return w.kubectl("get", "pods", "--selector=app.kubernetes.io/instance=triangle", "--field-selector=status.phase=Running", "--output=name") == ""
	})
}

// restoreStore makes a new volume for the store, with what the backup holds.
func (w *world) restoreStore() {
	w.Helper()
	w.kubectl("delete", "persistentvolumeclaim", "data-triangle-event-store-0")
	w.apply(fmt.Sprintf(restoring, the.images.registry, the.images.version))
	w.wait("job/restore", "condition=Complete")
	if told := w.kubectl("logs", "job/restore"); !strings.Contains(told, "events imported") {
		w.Errorf("the restore says %q", told)
	}
	w.kubectl("delete", "job", "restore")
}

// restoring is a volume as the operator would make it for the store, and a Job that
// fills it.
const restoring = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-triangle-event-store-0, labels: {app.kubernetes.io/instance: triangle, app.kubernetes.io/component: event-store}}
spec:
  accessModes: [ReadWriteOncePod]
  resources: {requests: {storage: 10Gi}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: restore}
spec:
  template:
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: import
        image: %s/event-store:%s
        args: [import, --data, /var/lib/triangle/data/events, /backup/events.jsonl]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        volumeMounts:
        - {name: data, mountPath: /var/lib/triangle/data}
        - {name: backup, mountPath: /backup}
        - {name: tmp, mountPath: /tmp}
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data-triangle-event-store-0}}
      - {name: backup, persistentVolumeClaim: {claimName: triangle-backup}}
      - {name: tmp, emptyDir: {}}
`
