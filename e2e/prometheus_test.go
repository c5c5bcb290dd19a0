package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prometheus is a real one, that reads a suite's metrics each second and sees them as
// it would in a cluster: with a namespace, a container and a pod.
type prometheus struct {
	*suite
	url string
}

// namespace is the environment's, as far as Prometheus knows.
const namespace = "shop"

// observed starts a Prometheus beside a suite, with rules if there are any.
func observed(s *suite, rules string) *prometheus {
	s.t.Helper()
	dir, address := s.t.TempDir(), freeAddress(s.t)
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n"
	targets := map[string]string{"event-store": s.eventStore}
	for _, service := range services {
		targets[service] = strings.TrimPrefix(s.at[service], "http://")
	}
	for name, at := range targets {
		config += fmt.Sprintf("- job_name: %s\n  static_configs:\n  - {targets: [%q], labels: {namespace: %s, container: %[1]s, pod: %[1]s-0}}\n", name, at, namespace)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(rules), 0o600),
	); err != nil {
		s.t.Fatal(err)
	}
	backEnd(s.t, "TRIANGLE_PROMETHEUS", nil, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=exemplar-storage")
	p := &prometheus{s, "http://" + address}
	s.await("Prometheus is ready", func() bool { return p.get("/-/ready", nil, nil) == nil })
	return p
}

// backEnd runs one until the test ends. A variable names its program.
func backEnd(t *testing.T, variable string, env []string, args ...string) {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Fatalf("%s names no program: run make test-telemetry, which builds it once", variable)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%s ended with %v:\n%s", program, err, told.String())
		}
	})
}

func (p *prometheus) get(path string, values url.Values, into any) error {
	return getJSON(p.t, p.url+path+"?"+values.Encode(), into)
}

// getJSON asks, and reads the answer if somebody wants it.
func getJSON(t *testing.T, from string, into any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

// sample is one value of a series.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query asks Prometheus what it has to say now.
func (p *prometheus) query(expression string) []sample {
	p.t.Helper()
	var answer struct{ Data struct{ Result []sample } }
	if err := p.get("/api/v1/query", url.Values{"query": {expression}}, &answer); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return answer.Data.Result
}

// number is the only value of an expression; there is none as long as nothing is known.
func (p *prometheus) number(expression string) (value float64, ok bool) {
	p.t.Helper()
	found := p.query(expression)
	if len(found) != 1 {
		return 0, false
	}
	if _, err := fmt.Sscan(fmt.Sprint(found[0].Value[1]), &value); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value, true
}

// fires tells whether an alert fires for a flow.
func (p *prometheus) fires(alert, flow string) bool {
	p.t.Helper()
	return len(p.query(fmt.Sprintf("ALERTS{alertname=%q, flow=%q, alertstate=\"firing\"}", alert, flow))) > 0
}
