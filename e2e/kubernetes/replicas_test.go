package kubernetes

import (
	"testing"
	"time"
)

// The profile for production, on PostgreSQL and with two replicas of each service, on
// the store that Triangle brings along, as there is no cluster of EventStoreDB here.
func TestSeveralReplicasOnPostgreSQL(t *testing.T) {
	w := newWorld(t)
	port := w.database()
	w.installOperator()
	w.helm("install", "triangle", "../../charts/triangle", "--values", "../../charts/triangle/values-production.yaml",
		"--values", w.file("here.yaml", productionHere), "--set", w.images(),
		"--set", "networkPolicies.database.ports={"+port+"}") // who enforces them looks behind the Service
	w.wait("triangle/triangle", "condition=Ready")
	w.podsAreRestricted()
	w.mustCommand("flow", "set", "customer-facts", "--cadence", "realtime", "--reason", "so it runs")
	t.Run("one takes over from another", func(t *testing.T) { w.on(t).takesOver() })
	t.Run("their number is the spec's, or the autoscaler's", func(t *testing.T) { w.on(t).areScaled() })
	t.Run("another image comes, and a bad one goes", func(t *testing.T) { w.on(t).areUpgraded() })
}

// productionHere is what is not as in production: there is one machine, of which the
// requests have to leave something, and nobody who reads alerts.
const productionHere = `
eventStore: {embedded: {enabled: true}, existingSecret: {name: ""}, ca: {existingSecret: {name: ""}}}
channel: {resources: {requests: {cpu: 50m, memory: 64Mi}}}
sales: {resources: {requests: {cpu: 50m, memory: 64Mi}}}
marketing: {resources: {requests: {cpu: 50m, memory: 64Mi}}}
rollout: {deadline: 75s, observe: 10s}
flows: []
backup: {enabled: false}
monitoring: {podMonitor: {enabled: false}, prometheusRule: {enabled: false}}
`

// takesOver takes away the pod that takes in the flows, of who takes in what is
// registered, and of who registers it.
func (w *world) takesOver() {
	end := w.probe()
	for _, service := range []string{"marketing", "sales", "marketing"} {
		w.goesOn(20)
		owner := w.owner(service)
		began := time.Now()
		w.killPod(owner)
		next := w.owner(service)
		w.Logf("%s was killed; %s takes in the flows after %.1f s", owner, next, time.Since(began).Seconds())
		w.areReady("deployment", service, "2")
	}
	w.goesOn(20)
	end()
	w.allAreAccountedFor()
}

// areScaled sets other numbers of replicas than are wanted. Where the operator says how
// many there are, it says so again; where the cluster chooses, its choice stands. The
// operator comes past the one when it mends the other.
func (w *world) areScaled() {
	w.areReady("deployment", "channel", "2") // the least that the cluster may choose
	w.kubectl("scale", "deployment/triangle-channel", "--replicas=3")
	w.areReady("deployment", "channel", "3")
	w.kubectl("scale", "deployment/triangle-marketing", "--replicas=4")
	w.wait("deployment/triangle-marketing", "jsonpath={.spec.replicas}=2")
	w.areReady("deployment", "marketing", "2")
	if n := w.kubectl("get", "deployment/triangle-channel", "--output=jsonpath={.spec.replicas}"); n != "3" {
		w.Errorf("there are to be %s replicas of channel, want the 3 that were chosen", n)
	}
}
