package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An environment that runs passes what helm test asks of it, and tells every metric that
// the chart's alerts and its dashboard rest on.
func TestAnEnvironmentIsAsItsChartTakesItToBe(t *testing.T) {
	s := up(t)
	found := s.triangle("probe", "--contact", "--eventstore", "esdb://"+s.eventStore+"?tls=false",
		"--channel", s.at["channel"], "--sales", s.at["sales"], "--marketing", s.at["marketing"])
	for _, want := range []string{"marketing", "began and ended", "lead-dispatch"} {
		if !strings.Contains(found, want) {
			t.Errorf("it tells nothing of %s:\n%s", want, found)
		}
	}
	wanted := restOn(t)
	if len(wanted) < 8 {
		t.Fatalf("the chart rests on %v only", wanted)
	}
	// Some are told once a flow has been measured.
	for name := range wanted {
		s.await("a service that tells "+name, func() bool { return s.tells("# TYPE " + name + " ") })
	}
}

// tells is whether a service has a text in its metrics.
func (s *suite) tells(text string) bool {
	s.t.Helper()
	return slices.ContainsFunc(services, func(service string) bool { return strings.Contains(s.metrics(service), text) })
}

// restOn are the metrics of services that the chart names.
func restOn(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../charts/triangle/files/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	// Of a histogram and a window's sums the chart names the series, the services the family.
	series := regexp.MustCompile(`_(bucket|count|sum)$`)
	names := map[string]bool{}
	for _, file := range append(files, "../charts/triangle/files/alerts.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\btriangle_[a-z_]+`).FindAllString(string(text), -1) {
			if !strings.HasPrefix(name, "triangle_operator_") {
				names[series.ReplaceAllString(name, "")] = true
			}
		}
	}
	return names
}

// metrics is what a service tells at /metrics.
func (s *suite) metrics(service string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.at[service]+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
