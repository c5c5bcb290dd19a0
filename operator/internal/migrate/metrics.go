package migrate

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
)

// shown are the figures of the flows that this process has looked at, as /metrics
// tells them: a handful of series a flow and a few a gate of its present step, for as
// long as its object is there.
var shown = &figures{of: map[types.NamespacedName]plan.Figures{}}

func init() { metrics.Registry.MustRegister(shown) }

func show(flow types.NamespacedName, f plan.Figures) {
	shown.mu.Lock()
	defer shown.mu.Unlock()
	shown.of[flow] = f
}

func unshow(flow types.NamespacedName) {
	shown.mu.Lock()
	defer shown.mu.Unlock()
	delete(shown.of, flow)
}

type figures struct {
	mu sync.Mutex
	of map[types.NamespacedName]plan.Figures
}

// described makes the description of a metric of a flow, which is named as its
// object.
func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("triangle_operator_flow_"+name, help, append([]string{"namespace", "flow"}, labels...), nil)
}

// The metrics.
var (
	stepInfo  = described("step_info", "1, with the step that the flow is at, and the one that its migration goes to.", "step", "target")
	epoch     = described("epoch", "The epoch of the flow.")
	reachable = described("store_reachable", "1 when the event store answers, else 0.")
	position  = described("position", "The position in the event store that the consumer has come to, by its last word.")
	lag       = described("lag_events", "Events that wait to be taken in, by the consumer's last word.")
	staleness = described("staleness_seconds", "The age of the oldest event that was waiting at the consumer's last word; 0 when none was.")
	toldAt    = described("told_timestamp_seconds", "When the consumer said its last word.")

	gateResult     = described("gate_result", "1 for what the gate sees now: Pass, Fail or Unknown; 0 for the others.", "gate", "result")
	gateInARow     = described("gate_in_a_row", "How many proofs, or hours, in a row pass the gate.", "gate")
	gateWaited     = described("gate_waited_seconds", "For how much watched time the gate has passed.", "gate")
	gateLeft       = described("gate_left_seconds", "For how much watched time the gate has to go on passing.", "gate")
	approvalWaited = described("approval_waited_seconds", "For how much watched time the next step has waited for an approval.")
	approvalLeft   = described("approval_left_seconds", "How much of that is left, where it ends; 0 where it does not.")

	// gateValues are what a gate sees, by its kind.
	gateValues = map[plan.Kind]*prometheus.Desc{
		plan.Parity:      described("gate_discrepancies_events", "Events that the last proof found missing, twice, out of order or unexplained, as a gate sees it.", "gate"),
		plan.Lag:         described("gate_lag_events", "Events that wait to be taken in, as a gate sees it.", "gate"),
		plan.Freshness:   described("gate_stale_seconds", "For how long the flow was staler than a gate allows, over the time that counts for it.", "gate"),
		plan.ErrorBudget: described("gate_error_budget_ratio", "The share of the error budget that is left, as a gate sees it.", "gate"),
	}
)

var results = map[flowv1.GateVerdict]string{
	flowv1.GateVerdict_GATE_VERDICT_PASS: "Pass", flowv1.GateVerdict_GATE_VERDICT_FAIL: "Fail", flowv1.GateVerdict_GATE_VERDICT_UNKNOWN: "Unknown",
}

// Describe implements prometheus.Collector: which series there are depends on the
// flows.
func (*figures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f *figures) Collect(to chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for flow, of := range f.of {
		s := series{to, []string{flow.Namespace, flow.Name}}
		s.flow(of)
		for _, g := range of.Gates {
			s.gate(g)
		}
	}
}

// series tells the series of one flow.
type series struct {
	to     chan<- prometheus.Metric
	labels []string
}

func (s series) tell(d *prometheus.Desc, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append(s.labels[:2:2], labels...)...)
}

func (s series) flow(of plan.Figures) {
	s.tell(reachable, bit(of.Reachable))
	if of.Epoch == 0 {
		return // its streams were not read yet
	}
	s.tell(stepInfo, 1, of.Step, of.Target)
	s.tell(epoch, float64(of.Epoch))
	if of.Approval != nil {
		s.tell(approvalWaited, of.Approval.Waited.Seconds())
		s.tell(approvalLeft, of.Approval.Left.Seconds())
	}
	if of.Progress == nil {
		return
	}
	s.tell(position, float64(of.Progress.GetPosition().GetCommit()))
	s.tell(toldAt, float64(of.Told.UnixMilli())/1000)
	if of.Progress.Lag != nil {
		s.tell(lag, float64(of.Progress.GetLag()))
		s.tell(staleness, staleFor(of).Seconds())
	}
}

// staleFor is the age, by the store's time, of what waited when the consumer said
// how far it is. Since then it may have been taken in.
func staleFor(of plan.Figures) time.Duration {
	if of.Progress.GetOldestWaiting() == nil {
		return 0
	}
	return max(0, of.Told.Sub(of.Progress.GetOldestWaiting().AsTime()))
}

func (s series) gate(g plan.GateFigures) {
	for verdict, name := range results {
		s.tell(gateResult, bit(g.Result == verdict), g.Name, name)
	}
	s.tell(gateInARow, float64(g.Row), g.Name)
	s.tell(gateWaited, g.Waited.Seconds(), g.Name)
	s.tell(gateLeft, g.Left.Seconds(), g.Name)
	if g.Value != nil {
		s.tell(gateValues[g.Kind], *g.Value, g.Name)
	}
}

func bit(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
