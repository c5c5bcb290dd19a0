package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/loopback"
)

// Job is what is read in one way.
type Job struct {
	Name string
	// HonorLabels lets what is read say itself of which namespace, container and pod it
	// is, as in a PodMonitor.
	HonorLabels bool
	// Targets are those that there are. It is called again and again, by one goroutine
	// or another; as long as it fails the last ones stay.
	Targets func(context.Context) ([]Target, error)
}

// Target is a process whose /metrics are read, and what a cluster calls it.
type Target struct{ Address, Namespace, Container, Pod string }

// Prometheus is a real one, which reads metrics each second, and evaluates rules as
// often.
type Prometheus struct {
	t        testing.TB
	dir, url string
}

// StartPrometheus starts one without rules.
func StartPrometheus(t testing.TB, jobs ...Job) *Prometheus {
	t.Helper()
	address := loopback.Address(t)
	p := &Prometheus{t: t, dir: t.TempDir(), url: "http://" + address}
	p.write("prometheus.yaml", configure(discover(t, jobs), jobs))
	start(t, "TRIANGLE_PROMETHEUS", nil, "--config.file="+filepath.Join(p.dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(p.dir, "data"),
		"--web.listen-address="+address, "--web.enable-lifecycle", "--enable-feature=exemplar-storage")
	awaitReady(t, p.url+"/-/ready")
	return p
}

// configure has Prometheus ask what to read, job by job.
func configure(discovery string, jobs []Job) string {
	var text strings.Builder
	text.WriteString("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n")
	for _, job := range jobs {
		fmt.Fprintf(&text, "- {job_name: %q, honor_labels: %t, http_sd_configs: [{url: %q, refresh_interval: 5s}]}\n",
			job.Name, job.HonorLabels, discovery+"/"+job.Name)
	}
	return text.String()
}

// discover serves the jobs' targets until the test ends, and returns where.
func discover(t testing.TB, jobs []Job) string {
	serve := http.NewServeMux()
	for _, job := range jobs {
		serve.HandleFunc("/"+job.Name, func(to http.ResponseWriter, r *http.Request) {
			targets, err := job.Targets(r.Context())
			if err != nil {
				http.Error(to, err.Error(), http.StatusInternalServerError)
				return
			}
			to.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(to).Encode(groups(targets)) // or else it asks again
		})
	}
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return server.URL
}

// group is a target in Prometheus's words.
type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func groups(targets []Target) []group {
	all := []group{} // an empty list is not null
	for _, t := range targets {
		all = append(all, group{[]string{t.Address}, map[string]string{"namespace": t.Namespace, "container": t.Container, "pod": t.Pod}})
	}
	return all
}

func (p *Prometheus) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Prometheus) get(path string, values url.Values, into any) error {
	return ask(p.t.Context(), http.MethodGet, p.url+path+"?"+values.Encode(), into)
}

// Sample is one value of a series.
type Sample struct {
	Metric map[string]string
	Value  [2]any // when it was so, in seconds, and the number as text
}

// Query asks what an expression comes to now.
func (p *Prometheus) Query(expression string) []Sample {
	p.t.Helper()
	var answer struct{ Data struct{ Result []Sample } }
	if err := p.get("/api/v1/query", url.Values{"query": {expression}}, &answer); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return answer.Data.Result
}

// Number is the only value of an expression; there is none as long as nothing is known.
func (p *Prometheus) Number(expression string) (value float64, ok bool) {
	p.t.Helper()
	found := p.Query(expression)
	if len(found) != 1 {
		return 0, false
	}
	if _, err := fmt.Sscan(fmt.Sprint(found[0].Value[1]), &value); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value, true
}

// Staleness asks for that of a flow, in seconds, by the worst word of its replicas.
func Staleness(flow string) string {
	return fmt.Sprintf("max(triangle_flow_staleness_seconds{flow=%q})", flow)
}

// Examples are the labels of the exemplars that an expression has had since a time,
// trace_id among them.
func (p *Prometheus) Examples(expression string, since time.Time) (all []map[string]string) {
	p.t.Helper()
	var answer struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	if err := p.get("/api/v1/query_exemplars", url.Values{
		"query": {expression}, "start": {since.Format(time.RFC3339)}, "end": {time.Now().Format(time.RFC3339)},
	}, &answer); err != nil {
		p.t.Fatalf("exemplars of %s: %v", expression, err)
	}
	for _, series := range answer.Data {
		for _, example := range series.Exemplars {
			all = append(all, example.Labels)
		}
	}
	return all
}
