package charts_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

// neighbourhood are the pods of an environment, as the operator and the charts make
// them, and others around it, each with an address.
type neighbourhood struct {
	t     *testing.T
	state netpol.State
	at    map[string]netip.Addr
}

func newNeighbourhood(t *testing.T) *neighbourhood {
	n := &neighbourhood{t: t, at: map[string]netip.Addr{
		"outside": netip.MustParseAddr("192.0.2.7"), "api": netip.MustParseAddr("192.0.2.1"),
	}}
	for _, name := range []string{"shop", "elsewhere", "kube-system"} {
		n.state.Namespaces = append(n.state.Namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	n.add("names", "kube-system", map[string]string{"k8s-app": "kube-dns"})
	n.add("caller", "shop", nil)
	n.add("stranger", "elsewhere", nil)
	return n
}

func (n *neighbourhood) add(name, namespace string, labels map[string]string) {
	a := netip.AddrFrom4([4]byte{10, 0, 0, byte(len(n.state.Pods) + 1)})
	n.at[name] = a
	n.state.Pods = append(n.state.Pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: a.String()}}},
	})
}

// made adds the pods that the operator makes of a Triangle: its own tests hold it to
// what the file says.
func (n *neighbourhood) made(of string) {
	n.t.Helper()
	text, err := os.ReadFile("../../../operator/internal/workload/testdata/" + of + ".golden.yaml")
	if err != nil {
		n.t.Fatal(err)
	}
	objects, err := apitest.Decode(text)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, o := range objects {
		labels, there, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
		if err != nil {
			n.t.Fatal(err)
		}
		if name := labels["app.kubernetes.io/component"]; there {
			if labels["triangle.dev/role"] != "serve" {
				name = labels["triangle.dev/role"]
			}
			if n.at[name] == (netip.Addr{}) {
				n.add(name, "shop", labels)
			}
		}
	}
}

// rendered adds what a chart has rendered: policies, and pods of its own.
func (n *neighbourhood) rendered(r rendered) {
	n.t.Helper()
	for _, o := range r.of("NetworkPolicy") {
		n.state.Policies = append(n.state.Policies, as[networkingv1.NetworkPolicy](n.t, o))
	}
	for _, o := range r.of("Pod") {
		n.add("test", "shop", o.GetLabels())
	}
	for _, o := range r.of("CronJob") {
		n.add("backup", "shop", as[batchv1.CronJob](n.t, o).Spec.JobTemplate.Spec.Template.Labels)
	}
	for _, o := range r.of("Deployment") {
		labels, _, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
		if err != nil {
			n.t.Fatal(err)
		}
		n.add("operator", "shop", labels)
	}
}

// calls are what somebody may want of somebody else.
var calls = []string{
	"channel:8081", "channel:9081", "sales:8082", "sales:9082", "marketing:8083", "marketing:9083", "event-store:2113",
	"operator:8080", "names:53", "api:6443", "outside:443", "outside:2113", "outside:5432",
}

// reach tells which of all calls get through, for each who may make them.
func (n *neighbourhood) reach() map[string]string {
	n.t.Helper()
	rules, err := netpol.Compile(n.state)
	if err != nil {
		n.t.Fatal(err)
	}
	all := map[string]string{}
	for from, at := range n.at {
		if from == "outside" || from == "api" || from == "names" {
			continue
		}
		var through []string
		for _, call := range calls {
			to, text, _ := strings.Cut(call, ":")
			var port uint16
			if _, err := fmt.Sscan(text, &port); err != nil {
				n.t.Fatal(err)
			}
			if known := n.at[to]; known.IsValid() && to != from && rules.Allows(netpol.Connection{From: at, To: known, Protocol: corev1.ProtocolTCP, Port: port}) {
				through = append(through, call)
			}
		}
		slices.Sort(through)
		all[from] = strings.Join(through, " ")
	}
	return all
}

// The policies of both charts, on the pods of an environment: who reaches whom, and
// nobody else. No service reaches another one, and the operator alone the API server.
func TestWhoReachesWhomInAnEnvironment(t *testing.T) {
	const everything = "channel:8081 channel:9081 marketing:8083 marketing:9083 names:53"
	const outside = "outside:2113 outside:443 outside:5432 sales:8082 sales:9082"
	withEachHelm(t, func(t *testing.T, h helm) {
		for name, tc := range map[string]struct {
			made []string
			args []string
			want map[string]string
		}{
			"evaluation": {[]string{"evaluation", "announcing"}, append(backups("evaluation"), "--set", "name=demo"), map[string]string{
				"channel":     "event-store:2113 names:53",
				"sales":       "event-store:2113 names:53",
				"marketing":   "event-store:2113 names:53",
				"announce":    "event-store:2113 names:53",
				"event-store": "names:53",
				"test":        "channel:8081 event-store:2113 marketing:8083 names:53 sales:8082",
				"backup":      "event-store:2113 names:53",
				"operator":    "api:6443 event-store:2113 names:53 outside:2113 outside:443",
				"caller":      "api:6443 " + everything + " " + outside,
				"stranger":    "api:6443 names:53 outside:2113 outside:443 outside:5432",
			}},
			"production": {[]string{"production"}, profile("production"), map[string]string{
				"channel":   "names:53 outside:2113 outside:5432",
				"sales":     "names:53 outside:2113 outside:5432",
				"marketing": "names:53 outside:2113 outside:5432",
				"test":      "channel:8081 marketing:8083 names:53 outside:2113 sales:8082",
				"backup":    "names:53 outside:2113 outside:5432",
				"operator":  "api:6443 names:53 outside:2113 outside:443",
				"caller":    "api:6443 " + everything + " " + outside,
				"stranger":  "api:6443 names:53 outside:2113 outside:443 outside:5432",
			}},
		} {
			t.Run(name, func(t *testing.T) {
				n := newNeighbourhood(t)
				for _, of := range tc.made {
					n.made(of)
				}
				n.rendered(h.render(tc.args...))
				n.rendered(h.render(chart("triangle-operator"), "--set", registry))
				if diff := cmp.Diff(tc.want, n.reach()); diff != "" {
					t.Errorf("who reaches whom (-want +got):\n%s", diff)
				}
			})
		}
	})
}
