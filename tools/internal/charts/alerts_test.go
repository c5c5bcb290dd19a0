package charts_test

import (
	"os"
	"os/exec"
	"path/filepath"
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
		for _, args := range [][]string{{"check", "rules", "--lint-fatal", "rules.yaml"}, {"test", "rules", "stories.yaml"}} {
			cmd := exec.Command(promtool, args...)
			cmd.Dir = in
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("promtool %v: %v\n%s", args, err, out)
			}
		}
	})
}
