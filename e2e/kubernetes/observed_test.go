package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/triangle-suite/triangle/e2e/observe"
)

// observedBy is a file of values by which a chart lets traces out to a Jaeger on the
// host, and a Prometheus there in. (Whom the node itself reaches is not held back on
// this cluster, whatever they say; where pods reach out to is.)
func (w *world) observedBy(host string, j *observe.Jaeger, values string) (file string) {
	w.Helper()
	_, port, err := net.SplitHostPort(j.Collector)
	if err != nil {
		w.Fatal(err)
	}
	return w.file("observed.yaml", strings.NewReplacer("HOST", host, "PORT", port).Replace(values))
}

const operatorObserved = `
telemetry: {endpoint: "http://HOST:PORT", tracePercent: "100"}
networkPolicy:
  telemetry: {to: [{ipBlock: {cidr: HOST/32}}], ports: [PORT]}
  metrics: {from: [{ipBlock: {cidr: HOST/32}}]}
podMonitor: {enabled: true}
`

const environmentObserved = `
telemetry: {endpoint: "http://HOST:PORT", tracePercent: "100"}
networkPolicies:
  telemetry: {to: [{ipBlock: {cidr: HOST/32}}], ports: [PORT]}
  metrics: {from: [{ipBlock: {cidr: HOST/32}}]}
  store: {from: [{ipBlock: {cidr: HOST/32}}]}
monitoring: {podMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboards: {enabled: true}}
`

// hasKindsOfPrometheusOperator makes its kinds, as far as the charts use them: what is
// in them the test does itself.
func (w *world) hasKindsOfPrometheusOperator() {
	w.Helper()
	for _, kind := range []string{"PodMonitor", "PrometheusRule"} {
		name := strings.ToLower(kind)
		crd := w.kubectl("create", "--output=name", "-f", w.file(name+".yaml", fmt.Sprintf(kindOfPrometheusOperator, name, kind)))
		w.Cleanup(func() {
			if _, err := the.cluster.Kubectl(context.WithoutCancel(w.Context()), nil, "delete", strings.TrimSpace(crd)); err != nil {
				w.Error(err)
			}
		})
		w.wait(strings.TrimSpace(crd), "condition=Established")
	}
}

const kindOfPrometheusOperator = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]ss.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: %[2]s, plural: %[1]ss, singular: %[1]s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// podMonitors are what the charts' PodMonitors have Prometheus read.
func (w *world) podMonitors() (jobs []observe.Job) {
	w.Helper()
	var monitors struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Selector            struct{ MatchLabels map[string]string }
				PodMetricsEndpoints []struct {
					Port        string
					HonorLabels bool
				}
			}
		}
	}
	w.read(&monitors, "podmonitors.monitoring.coreos.com")
	for _, m := range monitors.Items {
		for _, endpoint := range m.Spec.PodMetricsEndpoints {
			jobs = append(jobs, observe.Job{Name: m.Metadata.Name, HonorLabels: endpoint.HonorLabels, Targets: func(ctx context.Context) ([]observe.Target, error) {
				return w.targets(ctx, m.Spec.Selector.MatchLabels, endpoint.Port)
			}})
		}
	}
	if len(jobs) != 3 {
		w.Fatalf("%d endpoints are monitored, want those of the services, the store and the operator", len(jobs))
	}
	return jobs
}

// targets are the containers with a port of a name, of the pods with labels that run.
func (w *world) targets(ctx context.Context, labels map[string]string, port string) (all []observe.Target, err error) {
	var selector []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		selector = append(selector, name+"="+labels[name])
	}
	text, err := the.cluster.Kubectl(ctx, nil, "--namespace", w.namespace, "get", "pods", "--field-selector=status.phase=Running",
		"--selector="+strings.Join(selector, ","), "--output=json")
	if err != nil {
		return nil, err
	}
	var pods struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Containers []struct {
					Name  string
					Ports []struct {
						Name          string
						ContainerPort int
					}
				}
			}
			Status struct{ PodIP string }
		}
	}
	if err := json.Unmarshal([]byte(text), &pods); err != nil {
		return nil, fmt.Errorf("read the pods: %w", err)
	}
	for _, pod := range pods.Items {
		for _, c := range pod.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name == port {
					at := net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(p.ContainerPort))
					all = append(all, observe.Target{Address: at, Namespace: w.namespace, Container: c.Name, Pod: pod.Metadata.Name})
				}
			}
		}
	}
	return all, nil
}

// read reads objects of the namespace.
func (w *world) read(into any, args ...string) {
	w.Helper()
	if err := json.Unmarshal([]byte(w.kubectl(append([]string{"get", "--output=json"}, args...)...)), into); err != nil {
		w.Fatalf("%v: %v", args, err)
	}
}

// rules are those that the chart has made in this namespace.
func (w *world) rules() string {
	w.Helper()
	return w.kubectl("get", "prometheusrules.monitoring.coreos.com", "triangle", "--output=jsonpath={.spec}")
}

// rulesAreEvaluated has Prometheus take the chart's rules as they are, and evaluate each.
func (w *world) rulesAreEvaluated(p *observe.Prometheus) {
	w.Helper()
	rules := w.rules()
	p.Load(rules)
	var all []observe.Rule
	w.until("every rule has been evaluated", func() bool {
		all = p.Rules()
		return !slices.ContainsFunc(all, func(r observe.Rule) bool { return r.Health == "unknown" })
	})
	if want := strings.Count(rules, `"expr":`); len(all) != want || want < 15 {
		w.Errorf("Prometheus has %d rules, want the chart's %d", len(all), want)
	}
	for _, r := range all {
		if r.Health != "ok" || r.LastError != "" {
			w.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
		}
	}
	w.Logf("Prometheus has evaluated %d rules", len(all))
}

// panels are the questions of the dashboards that Grafana's sidecar would find.
func (w *world) panels() (all []observe.Panel) {
	w.Helper()
	var found struct {
		Items []struct{ Data map[string]string }
	}
	w.read(&found, "configmaps", "--selector=grafana_dashboard=1")
	if len(found.Items) < 5 {
		w.Fatalf("there are %d dashboards, want five", len(found.Items))
	}
	for _, m := range found.Items {
		for name, text := range m.Data {
			all = append(all, observe.Panels(w, name, []byte(text), w.namespace)...)
		}
	}
	return all
}

// volume is the folder of a claim's volume, on this machine.
func (w *world) volume(claim string) string {
	w.Helper()
	name := w.kubectl("get", "persistentvolumeclaim", claim, "--output=jsonpath={.spec.volumeName}")
	return w.kubectl("get", "persistentvolume", name, "--output=jsonpath={.spec.local.path}")
}
