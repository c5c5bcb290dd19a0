package observe

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Panel is a question that a dashboard asks.
type Panel struct{ Dashboard, Title, Query string }

// Panels are the questions of a dashboard, as Grafana asks them where its variables
// are a namespace, every flow and every service.
func Panels(t testing.TB, name string, dashboard []byte, namespace string) (all []Panel) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(dashboard, &d); err != nil {
		t.Fatalf("dashboard %s: %v", name, err)
	}
	variables := strings.NewReplacer("$__rate_interval", "30s", "$namespace", namespace, "$flow", ".+", "$service", ".+")
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			all = append(all, Panel{name, panel.Title, variables.Replace(target.Expr)})
		}
	}
	return all
}

// Answers tells whether there is an answer to a panel's question, and that is a number.
func (p *Prometheus) Answers(panel Panel) bool {
	p.t.Helper()
	return slices.ContainsFunc(p.Query(panel.Query), func(s Sample) bool { return s.Value[1] != "NaN" })
}
