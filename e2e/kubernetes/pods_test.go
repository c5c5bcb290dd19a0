package kubernetes

import (
	"slices"
	"strings"
)

const operator = "triangle-operator"

// components are what an environment consists of, beside the operator.
var components = []string{"event-store", "channel", "sales", "marketing"}

// pods are the names of a component's pods that serve; the operator is one, too.
func (w *world) pods(component string) []string {
	w.Helper()
	selector := "app.kubernetes.io/instance=triangle,triangle.dev/role=serve,app.kubernetes.io/component=" + component
	if component == operator {
		selector = "app.kubernetes.io/instance=" + operator
	}
	return strings.Fields(w.kubectl("get", "pods", "--selector="+selector, "--output=jsonpath={.items[*].metadata.name}"))
}

// killPod kills a pod, as a node that fails does.
func (w *world) killPod(pod string) {
	w.Helper()
	w.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
}

// areReady waits until a component's workload is as it is wanted, with so many pods.
func (w *world) areReady(kind, component string, replicas string) {
	w.Helper()
	name := kind + "/triangle-" + component
	if component == operator {
		name = kind + "/" + operator
	}
	w.wait(name, "jsonpath={.status.readyReplicas}="+replicas)
}

// owner is the one of a service's pods that takes in its flows, by what they log.
func (w *world) owner(service string) (owner string) {
	w.Helper()
	w.until("a pod of "+service+" that takes in the flows", func() bool {
		owners := slices.DeleteFunc(w.pods(service), func(pod string) bool { return !w.owns(pod) })
		if len(owners) != 1 { // one that lost them has not noticed yet
			return false
		}
		owner = owners[0]
		return true
	})
	return owner
}

func (w *world) owns(pod string) bool {
	log, err := the.cluster.Kubectl(w.Context(), nil, "--namespace", w.namespace, "logs", pod)
	return err == nil && strings.Count(log, "this replica takes in the flows") > strings.Count(log, "another replica may take in the flows now")
}
