package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// panels are what the dashboard asks for, each as a rule that promtool can check.
func panels(t *testing.T, h helm) string {
	t.Helper()
	text := h.render(profile("production")...).the("ConfigMap", "shop-dashboard-flows").Object["data"].(map[string]any)["flows.json"].(string)
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		t.Fatal(err)
	}
	var rules []map[string]string
	for i, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$namespace", "shop").Replace(target.Expr)
			rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%d", i), "expr": expr})
		}
	}
	if len(rules) < 10 {
		t.Fatalf("the dashboard asks %d questions only", len(rules))
	}
	out, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
