package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What the chart makes of the alerts is what promtool finds right, and what
// testdata/alerts.yaml tells stories of: when each one begins, and that it does not
// before.
func TestTheAlerts(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		promtool := os.Getenv("TRIANGLE_PROMTOOL")
		if promtool == "" {
			t.Fatal("TRIANGLE_PROMTOOL names no program: run make test-charts, which builds it once")
		}
		rule := h.render(append(profile("production"), "--set", "monitoring.prometheusRule.errorPercent=2.5")...).the("PrometheusRule", "shop")
		rules, err := yaml.Marshal(rule.Object["spec"])
		if err != nil {
			t.Fatal(err)
		}
		stories, err := os.ReadFile("testdata/alerts.yaml")
		if err != nil {
			t.Fatal(err)
		}
		in := t.TempDir()
		put(t, filepath.Join(in, "rules.yaml"), string(rules))
		put(t, filepath.Join(in, "stories.yaml"), string(stories))
		put(t, filepath.Join(in, "panels.yaml"), panels(t, h))
		for _, args := range [][]string{{"check", "rules", "--lint-fatal", "rules.yaml", "panels.yaml"}, {"test", "rules", "stories.yaml"}} {
			cmd := exec.Command(promtool, args...)
			cmd.Dir = in
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("promtool %v: %v\n%s", args, err, out)
			}
		}
	})
}

// panels are what the dashboards ask for, each as a rule that promtool can check.
func panels(t *testing.T, h helm) string {
	t.Helper()
	objects := h.render(profile("production")...)
	var rules []map[string]string
	for _, name := range []string{"glance", "flow", "service", "store", "migrations"} {
		text := objects.the("ConfigMap", "shop-dashboard-"+name).Object["data"].(map[string]any)[name+".json"].(string)
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
			t.Fatal(err)
		}
		if len(dashboard.Panels) < 5 {
			t.Errorf("%s has %d panels only", name, len(dashboard.Panels))
		}
		for i, panel := range dashboard.Panels {
			for j, target := range panel.Targets {
				expr := strings.NewReplacer("$__rate_interval", "5m", "$namespace", "shop", "$flow", "contacts", "$service", "sales").Replace(target.Expr)
				rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%s:%d_%d", name, i, j), "expr": expr})
			}
		}
	}
	out, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Whoever is woken finds what to do: each alert has its place in RUNBOOKS.md, and
// nothing else has; and each has stories, of when it begins and of when it does not.
func TestEachAlertHasARunbookAndStories(t *testing.T) {
	alerts := names(t, "../../../charts/triangle/files/alerts.yaml", `(?m)^ *- alert: (\w+)$`)
	if books := names(t, "../../../RUNBOOKS.md", `(?m)^## (Triangle\w+)$`); !slices.Equal(books, alerts) {
		t.Errorf("there are runbooks of %v, want one of each of %v", books, alerts)
	}
	fires := names(t, "testdata/alerts.yaml", `alertname: (\w+)\n +exp_alerts:`)
	rests := names(t, "testdata/alerts.yaml", `eval_time: \w+, alertname: (\w+)}`)
	for _, alert := range alerts {
		if !slices.Contains(fires, alert) || !slices.Contains(rests, alert) {
			t.Errorf("%s has a story of when it begins: %t, of when it does not: %t", alert, slices.Contains(fires, alert), slices.Contains(rests, alert))
		}
	}
}

// names are what an expression finds in a file, each once and in order.
func names(t *testing.T, file, expression string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
		all = append(all, found[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}
