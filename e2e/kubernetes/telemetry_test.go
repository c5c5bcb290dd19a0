package kubernetes

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/e2e/hold"
	"github.com/triangle-suite/triangle/e2e/observe"
)

// A Jaeger and a Prometheus outside of the cluster are told, through what the charts let
// in and out, all that an SRE asks them: a visitor is one trace through three pods, and
// a migration's step one through the operator's and the consumer's; staleness falls with
// each step; every panel of every dashboard has a number to show; every alert that the
// chart gives to Prometheus Operator is one to Prometheus, and one of them fires while a
// flow stalls.
func TestTelemetryOfAnEnvironment(t *testing.T) {
	w := newWorld(t)
	_, host := w.node()
	j := observe.StartJaeger(t, freeAddress(t, host))
	w.hasKindsOfPrometheusOperator()
	w.installOperator("--values", w.observedBy(host, j, operatorObserved))
	w.installEnvironment("--values", w.observedBy(host, j, environmentObserved))
	p := observe.StartPrometheus(t, w.podMonitors()...)
	w.rulesAreEvaluated(p)
	w.aVisitorIsOneTrace(j)

	w.mustCommand("flow", "set", observedFlow, "--cadence", "*/12 * * * * *", "--reason", "so it was before")
	end := w.probe()
	w.upgrade("--values", w.file("flows.yaml", observedSteps))
	worst := []float64{w.worstStaleness(p, "*/12 * * * * *")}
	w.takesStep(j, "often")
	w.kill("marketing") // and another pod is found
	worst = append(worst, w.worstStaleness(p, "*/4 * * * * *"))
	w.wait("informationflow/facts", "condition=AwaitingApproval")
	w.everyPanelHasAnAnswer(p)
	w.takesStep(j, "realtime")
	worst = append(worst, w.worstStaleness(p, "realtime"))
	t.Logf("the worst staleness: %.1f s in windows of 12 s, %.1f s in windows of 4 s, %.1f s in real time", worst[0], worst[1], worst[2])
	if !(worst[0] > worst[1] && worst[1] > worst[2]) {
		t.Errorf("staleness is %v at most, step by step, want that it falls", worst)
	}
	w.wait("informationflow/facts", "condition=MigrationComplete")
	end()
	w.allAreAccountedFor()
	w.anAlertFiresWhileAFlowStalls(p)
}

// freeAddress is one of a host on which nobody listens.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// aVisitorIsOneTrace has a visitor call whom CRM knows, and wants what comes of it to be
// one trace, with one root, of which each span says which pod it is of.
func (w *world) aVisitorIsOneTrace(j *observe.Jaeger) {
	w.Helper()
	w.register(1)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.traceparent = "00-" + id + "-00f067aa0ba902b7-01"
	w.callsIn("10s")
	w.traceparent = ""
	var trace observe.Trace
	w.until("the visitor's trace is whole", func() bool {
		trace = j.Trace(id)
		return len(trace.Roots()) == 1 && slices.Contains(trace.Operations(), "channel-support: process next-best-actions")
	})
	pods := map[string]bool{}
	for _, span := range trace {
		pods[span.Service+" in "+span.Process.Get("k8s.namespace.name")+"/"+span.Process.Get("k8s.pod.name")] = true
	}
	var want []string
	for _, service := range []string{"channel", "marketing", "sales"} {
		want = append(want, service+"-support in "+w.namespace+"/triangle-"+service+"-0")
	}
	if got := slices.Sorted(maps.Keys(pods)); !slices.Equal(got, want) {
		w.Errorf("the visitor's trace is of %v, want %v", got, want)
	}
	if root := trace.Roots()[0]; root.String() != "channel-support: POST /v1/contacts" {
		w.Errorf("its root is %s, want the call", root)
	}
	w.Logf("a visitor is a trace of %d spans", len(trace))
}

// callsIn has a customer call, whom the channel knows, and who waits so long for what is
// to be offered.
func (w *world) callsIn(wait string) {
	w.Helper()
	w.call("channel", "/v1/contacts", map[string]any{
		"channel": "CHANNEL_CALL_CENTRE", "visitor_id": "phone", "wait": wait, "claims": map[string]any{"customer_number": "prober-1"},
	})
}

const observedFlow = "customer-facts"

// observedSteps have somebody's word before each, so that there is time to look.
const observedSteps = `
flows:
- name: facts
  flow: customer-facts
  migration:
    steps:
    - name: rare
      cadence: {cron: "*/12 * * * * *"}
    - name: often
      cadence: {cron: "*/4 * * * * *"}
      approval: {mode: Required}
      gates:
      - {name: parity, parity: {missing: 0, duplicated: 0, reordered: 0}}
    - name: realtime
      cadence: {mode: RealTime}
      approval: {mode: Required}
`

// worstStaleness is the worst that the flow has come to within twelve seconds, at a
// cadence that it had some seconds before.
func (w *world) worstStaleness(p *observe.Prometheus, cadence string) (seconds float64) {
	w.Helper()
	atIt := fmt.Sprintf("count_over_time(max(triangle_flow_info{flow=%q, cadence=%q})[16s:1s])", observedFlow, cadence)
	w.until("it has been at "+cadence+" for 16 seconds", func() bool {
		times, known := p.Number(atIt)
		return known && times >= 16
	})
	seconds, known := p.Number("max_over_time(" + observe.Staleness(observedFlow) + "[12s:1s])")
	if !known {
		w.Fatalf("nothing is known of %s at %s", observedFlow, cadence)
	}
	return seconds
}

// takesStep gives somebody's word for a step, and wants the step to be one trace: from
// the look of the operator that asked for it, to the consumer that went over to it.
func (w *world) takesStep(j *observe.Jaeger, step string) {
	w.Helper()
	w.wait("informationflow/facts", "condition=AwaitingApproval")
	w.comesTo(step)
	const consumer = "marketing-support: cut over " + observedFlow
	var trace observe.Trace
	w.until("the trace of step "+step, func() bool {
		for _, trace = range j.Find(operator, "step "+step) {
			if slices.Contains(trace.Operations(), consumer) {
				return true
			}
		}
		return false
	})
	below := map[string]string{
		operator + ": reconcile InformationFlow": "",
		operator + ": request a cadence":         operator + ": reconcile InformationFlow",
		operator + ": send flow-{id}":            operator + ": request a cadence",
		operator + ": step " + step:              operator + ": request a cadence",
		consumer:                                 operator + ": send flow-{id}",
	}
	for name, want := range below {
		i := slices.IndexFunc(slices.Collect(maps.Values(trace)), func(s observe.Span) bool {
			parent := trace[s.Parent()]
			return s.String() == name && (parent.SpanID == "" && want == "" || parent.String() == want)
		})
		if i < 0 {
			w.Errorf("the trace of step %s has no %q below %q: %v", step, name, want, trace.Operations())
		}
	}
}

// everyPanelHasAnAnswer asks all that the dashboards ask, the operator's among them,
// while a flow has windows and waits for somebody's word.
func (w *world) everyPanelHasAnAnswer(p *observe.Prometheus) {
	w.Helper()
	began, all := time.Now(), w.panels()
	for _, panel := range all {
		w.until(fmt.Sprintf("an answer to %s, panel %s: %s", panel.Dashboard, panel.Title, panel.Query), func() bool {
			if p.Answers(panel) {
				return true
			}
			w.callsIn("0.1s")
			return false
		})
	}
	w.Logf("%5.1f s  %d questions of the dashboards are answered", time.Since(began).Seconds(), len(all))
}

// anAlertFiresWhileAFlowStalls has one stall, as the database of its consumer is held,
// and go on. The chart's rules are those of the cluster, with a second for each minute.
func (w *world) anAlertFiresWhileAFlowStalls(p *observe.Prometheus) {
	w.Helper()
	const alert, flow = "TriangleFlowBudgetBurnsFast", "contact-events"
	p.Load(observe.Faster(w.rules()))
	w.until("that the flow is known to be fresh", func() bool {
		staleness, known := p.Number(observe.Staleness(flow))
		return known && staleness == 0 && !p.Fires(alert, flow)
	})
	began := time.Now()
	release := hold.Database(w, filepath.Join(w.volume("data-triangle-marketing-0"), "read-models.db"))
	w.callsIn("0.1s")
	w.until(alert, func() bool { return p.Fires(alert, flow) })
	w.Logf("%5.1f s  %s fires for %s", time.Since(began).Seconds(), alert, flow)
	if p.Fires(alert, "contacts") {
		w.Error("it fires for a flow of sales, too, which goes on")
	}
	release()
	began = time.Now()
	w.until(alert+" is over", func() bool { return !p.Fires(alert, flow) })
	w.Logf("%5.1f s  it is silent", time.Since(began).Seconds())
}
