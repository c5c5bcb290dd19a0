package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Every question that a dashboard asks of a suite in which something happens has an
// answer, and that is a number: there is a metric of that name, with those labels, and
// what is asked of it makes sense to Prometheus. What the operator tells is asked where
// there is an operator.
func TestTelemetryAnswersEveryPanel(t *testing.T) {
	s := up(t)
	s.triangle("probe", "--contact", "--eventstore", "esdb://"+s.eventStore+"?tls=false",
		"--channel", s.at["channel"], "--sales", s.at["sales"], "--marketing", s.at["marketing"])
	s.triangle("flow", "set", "customer-facts", "--cadence", "0 0 2 * * 1", "--reason", "to have windows")
	p := observed(s, "")
	for _, panel := range panels(t) {
		p.await(fmt.Sprintf("an answer to %s, panel %s: %s", panel.dashboard, panel.title, panel.query), func() bool {
			s.call(404, "GET", "channel", "/v1/contacts/none", nil)
			customer := s.register()
			s.startsAContact(body{"customer_number": customer})
			s.triangle("flow", "run", "customer-facts")
			return slices.ContainsFunc(p.query(panel.query), func(s sample) bool { return s.Value[1] != "NaN" })
		})
	}
}

type asked struct{ dashboard, title, query string }

// panels are the questions of all dashboards but of those that the operator answers.
func panels(t *testing.T) (all []asked) {
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
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(err)
		}
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				query := strings.NewReplacer("$__rate_interval", "30s", "$namespace", namespace, "$flow", ".+", "$service", ".+").Replace(target.Expr)
				if !strings.Contains(query, "triangle_operator_") {
					all = append(all, asked{filepath.Base(file), panel.Title, query})
				}
			}
		}
	}
	return all
}

// A flow that can't be taken in, as somebody else holds its database, has its alert fire
// while the rest goes on, and fall silent when it is taken in again. The chart's rules
// are these, with a second for each minute.
func TestTelemetryAlertsWhileAFlowStalls(t *testing.T) {
	const alert, flow = "TriangleFlowBudgetBurnsFast", "contact-events"
	s := up(t)
	p := observed(s, rules(t))
	s.startsAContact(nil)
	s.await("that the flow is known to be fresh", func() bool {
		staleness, known := p.number(staleness(flow))
		return known && staleness == 0
	})
	release := s.holdDatabase("marketing")
	s.startsAContact(nil)
	s.await(alert, func() bool { return p.fires(alert, flow) })
	if p.fires(alert, "contacts") {
		t.Error("it fires for a flow of sales, too, which goes on")
	}
	release()
	s.await(alert+" is over", func() bool { return !p.fires(alert, flow) })
}

func staleness(flow string) string {
	return fmt.Sprintf("max(triangle_flow_staleness_seconds{flow=%q})", flow)
}

// rules are the chart's, for an environment whose minutes are seconds.
func rules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../charts/triangle/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	faster := regexp.MustCompile(`(\[|for: )(\d+)(m|h)\b`).ReplaceAllStringFunc(string(text), func(found string) string {
		if n, isHours := strings.CutSuffix(found, "h"); isHours {
			return n + "m"
		}
		return strings.TrimSuffix(found, "m") + "s"
	})
	return strings.NewReplacer("NAMESPACE", namespace, "ERROR_RATIO", "0.01").Replace(faster)
}

// startsAContact has somebody call, who claims to be somebody, or nobody.
func (s *suite) startsAContact(claims body) {
	s.t.Helper()
	s.call(200, "POST", "channel", "/v1/contacts", body{
		"channel": "CHANNEL_CALL_CENTRE", "visitor_id": "phone-" + strconv.Itoa(s.keys), "claims": claims,
	})
}

// holdDatabase keeps a service from writing to its database, until it is released.
func (s *suite) holdDatabase(service string) (release func()) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(s.data, service+".db"))+"?_pragma=busy_timeout(20000)&_txlock=immediate")
	if err != nil {
		s.t.Fatal(err)
	}
	held, err := db.BeginTx(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if err := held.Rollback(); err != nil {
			s.t.Error(err)
		}
		if err := db.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// A flow goes from windows that are far apart, over ones that are close, to real time:
// with each step what is known of customers in marketing is less old.
func TestTelemetryShowsStalenessFallWithEachStep(t *testing.T) {
	const flow = "customer-facts"
	s := up(t)
	p := observed(s, "")
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
		value, known := p.number("max_over_time(" + staleness(flow) + "[" + step.look + ":1s])")
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
