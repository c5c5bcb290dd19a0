package migrate

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/operator/internal/writes"
)

// ending is what the names of metrics end in: a unit, or what they count or tell.
var ending = regexp.MustCompile(`_(seconds|events|ratio|total|info|epoch|reachable|position|result|in_a_row)$`)

// rowOf reads a metric of the operator and its labels from the README's table.
var rowOf = regexp.MustCompile("(?m)^\\| `(triangle_operator_[a-z_]+)` \\|([^|]*)\\|")

// Who makes a dashboard reads the README: it lists each metric of the operator with its
// labels, and none that there is not.
func TestWhatTheOperatorTellsIsListed(t *testing.T) {
	everything := plan.Figures{
		Epoch: 2, Step: "daily", Target: "realtime", Reachable: true, Told: time.Now(), Approval: &plan.Wait{},
		Progress: &flowv1.FlowProgressed{Lag: new(uint64(3))},
	}
	for kind := range gateValues {
		everything.Gates = append(everything.Gates, plan.GateFigures{Name: string(kind), Kind: kind, Value: new(0.5)})
	}
	name := types.NamespacedName{Namespace: "listed", Name: "contacts"}
	show(name, everything)
	t.Cleanup(func() { unshow(name) })
	writes.Total.WithLabelValues("pods", "create")

	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	told := map[string][]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "triangle_operator_") {
			continue
		}
		told[f.GetName()] = labelsOf(f)
		if len(f.GetHelp()) < 10 || !ending.MatchString(f.GetName()) {
			t.Errorf("%s ends in no unit, or explains itself by %q", f.GetName(), f.GetHelp())
		}
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{}
	for _, row := range rowOf.FindAllStringSubmatch(string(readme), -1) {
		listed[row[1]] = slices.Sorted(slices.Values(regexp.MustCompile(`[a-z]+`).FindAllString(row[2], -1)))
	}
	if diff := cmp.Diff(told, listed); diff != "" {
		t.Errorf("the README lists something else than is told (-told +listed):\n%s", diff)
	}
}

func labelsOf(f *dto.MetricFamily) []string {
	labels := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(labels))
}
