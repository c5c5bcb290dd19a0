package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/e2e/hold"
	"github.com/triangle-suite/triangle/e2e/observe"
)

// namespace is the environment's, as far as Prometheus knows.
const namespace = "shop"

// observed starts a Prometheus beside a suite, which sees it as it would in a cluster:
// with a namespace, a container and a pod.
func observed(s *suite) *observe.Prometheus {
	s.t.Helper()
	targets := []observe.Target{{Address: s.eventStore, Namespace: namespace, Container: "event-store", Pod: "event-store-0"}}
	for _, service := range services {
		targets = append(targets, observe.Target{
			Address: strings.TrimPrefix(s.at[service], "http://"), Namespace: namespace, Container: service, Pod: service + "-0",
		})
	}
	return observe.StartPrometheus(s.t, observe.Job{Name: "suite", Targets: func(context.Context) ([]observe.Target, error) { return targets, nil }})
}

// Every question that a dashboard asks of a suite in which something happens has an
// answer, and that is a number: there is a metric of that name, with those labels, and
// what is asked of it makes sense to Prometheus. What the operator tells is asked where
// there is an operator.
func TestTelemetryAnswersEveryPanel(t *testing.T) {
	s := up(t)
	s.triangle("probe", "--contact", "--eventstore", "esdb://"+s.eventStore+"?tls=false",
		"--channel", s.at["channel"], "--sales", s.at["sales"], "--marketing", s.at["marketing"])
	s.triangle("flow", "set", "customer-facts", "--cadence", "0 0 2 * * 1", "--reason", "to have windows")
	p := observed(s)
	for _, panel := range panels(t) {
		s.await(fmt.Sprintf("an answer to %s, panel %s: %s", panel.Dashboard, panel.Title, panel.Query), func() bool {
			s.call(404, "GET", "channel", "/v1/contacts/none", nil)
			customer := s.register()
			s.startsAContact(body{"customer_number": customer})
			s.triangle("flow", "run", "customer-facts")
			return p.Answers(panel)
		})
	}
}

// panels are the questions of all dashboards but of those that the operator answers.
func panels(t *testing.T) (all []observe.Panel) {
	t.Helper()
	files, err := filepath.Glob("../charts/triangle/files/dashboards/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("dashboards: %v (%v)", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, observe.Panels(t, filepath.Base(file), text, namespace)...)
	}
	return slices.DeleteFunc(all, func(p observe.Panel) bool { return strings.Contains(p.Query, "triangle_operator_") })
}

// A flow that can't be taken in, as somebody else holds its database, has its alert fire
// while the rest goes on, and fall silent when it is taken in again. The chart's rules
// are these, with a second for each minute.
func TestTelemetryAlertsWhileAFlowStalls(t *testing.T) {
	const alert, flow = "TriangleFlowBudgetBurnsFast", "contact-events"
	s := up(t)
	p := observed(s)
	p.Load(rules(t))
	s.startsAContact(nil)
	s.await("that the flow is known to be fresh", func() bool {
		staleness, known := p.Number(observe.Staleness(flow))
		return known && staleness == 0
	})
	release := hold.Database(t, filepath.Join(s.data, "marketing.db"))
	s.startsAContact(nil)
	s.await(alert, func() bool { return p.Fires(alert, flow) })
	if p.Fires(alert, "contacts") {
		t.Error("it fires for a flow of sales, too, which goes on")
	}
	release()
	s.await(alert+" is over", func() bool { return !p.Fires(alert, flow) })
}

// rules are the chart's, for an environment whose minutes are seconds.
func rules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../charts/triangle/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("NAMESPACE", namespace, "ERROR_RATIO", "0.01").Replace(observe.Faster(string(text)))
}

// startsAContact has somebody call, who claims to be somebody, or nobody.
func (s *suite) startsAContact(claims body) {
	s.t.Helper()
	s.call(200, "POST", "channel", "/v1/contacts", body{
		"channel": "CHANNEL_CALL_CENTRE", "visitor_id": "phone-" + strconv.Itoa(s.keys), "claims": claims,
	})
}

// A flow goes from windows that are far apart, over ones that are close, to real time:
// with each step what is known of customers in marketing is less old.
func TestTelemetryShowsStalenessFallWithEachStep(t *testing.T) {
	const flow = "customer-facts"
	s := up(t)
	p := observed(s)
	var worst []float64
	for _, step := range []struct{ cadence, look string }{
		{"*/12 * * * * *", "12s"}, {"*/4 * * * * *", "12s"}, {"realtime", "12s"},
	} {
		s.triangle("flow", "set", flow, "--cadence", step.cadence, "--reason", "a step")
		began := time.Now()
		s.await("what is known at "+step.cadence, func() bool {
			s.register()
			return time.Since(began) > 16*time.Second
		})
		value, known := p.Number("max_over_time(" + observe.Staleness(flow) + "[" + step.look + ":1s])")
		if !known {
			t.Fatalf("nothing is known of %s at %s", flow, step.cadence)
		}
		worst = append(worst, value)
	}
	t.Logf("the worst staleness: %.1f s in windows of 12 s, %.1f s in windows of 4 s, %.1f s in real time", worst[0], worst[1], worst[2])
	if !(worst[0] > worst[1] && worst[1] > worst[2]) {
		t.Errorf("staleness is %v at most, step by step, want that it falls", worst)
	}
}

// register has a customer registered, and returns the number.
func (s *suite) register() (number string) {
	s.t.Helper()
	number = "prober-" + strconv.Itoa(s.keys)
	s.call(200, "POST", "sales", "/v1/customers", body{"customer_number": number, "source": "prober"})
	return number
}
