package netpol_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

// enforced is what an Enforcer has applied on a node of the test's own.
type enforced struct {
	t       *testing.T
	network *network
	applied chan string
}

// enforceAll has everything enforced that a cluster's policies say, until the test ends.
func enforceAll(t *testing.T, server *apitest.Server, n *network) enforced {
	e := enforced{t, n, make(chan string, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended, log := make(chan error, 1), new(bytes.Buffer)
	go func() {
		ended <- netpol.Enforcer{
			Cluster: server.Config, Processes: shop.Processes, Log: slog.New(slog.NewTextHandler(log, nil)),
			Apply: func(ctx context.Context, ruleset string) error {
				n.in(n.node, func() error { return netpol.Apply(ctx, ruleset) })
				e.applied <- ruleset
				return nil
			},
		}.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the end: %v", err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return e
}

// until waits until what is in force does, or does not, hold a text.
func (e enforced) until(holds bool, text string) {
	e.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for last := ""; ; {
		select {
		case last = <-e.applied:
			if strings.Contains(last, text) == holds {
				return
			}
		case <-timeout.C:
			e.t.Fatalf("what is in force holds %q: want %t:\n%s", text, holds, last)
		}
	}
}

// What is enforced follows the policies, pods and namespaces of a real API server: real
// packets are dropped as soon as a policy is there, and come through when it is gone.
func TestWhatIsEnforcedFollowsTheCluster(t *testing.T) {
	server := apitest.Start(t)
	admin := server.Client(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, canary := address(t, "store"), address(t, "canary")
	n := newNetwork(t, store, canary)
	n.serve(at(store, 2113), "tcp")
	e := enforceAll(t, server, n)
	e.until(true, "chain policies")

	must(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	must(admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}))
	for i := range 3 {
		p := shop.Pods[i].DeepCopy()
		p.Spec.Containers[0].Name, p.Spec.Containers[0].Image = "c", "c"
		status := p.Status
		must(admin.Create(t.Context(), p))
		p.Status = status
		p.Status.PodIP = status.PodIPs[0].IP
		must(admin.Status().Update(t.Context(), p))
	}
	closing := policy(t, `{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{podSelector: {matchLabels: {app: channel}}}]}]}`)
	must(admin.Create(t.Context(), &closing))
	e.until(true, "ip saddr { 10.77.0.3 } return")
	if n.reaches(canary, at(store, 2113), "tcp") {
		t.Error("the canary reaches the store although the policy forbids it")
	}

	var pod corev1.Pod
	must(admin.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "canary"}, &pod))
	pod.Labels["app"] = "channel"
	must(admin.Update(t.Context(), &pod))
	e.until(true, "ip saddr { 10.77.0.3, 10.77.0.4 } return")
	if !n.reaches(canary, at(store, 2113), "tcp") {
		t.Error("the canary does not reach the store although it is a channel by now")
	}

	must(admin.DeleteAllOf(t.Context(), &networkingv1.NetworkPolicy{}, client.InNamespace("shop")))
	e.until(false, "chain in-10.77.0.2")
	if !n.reaches(canary, at(store, 2113), "tcp") {
		t.Error("the canary does not reach the store although the policy is gone")
	}
}

// An Enforcer that can't have the kernel take its rules says so, and ends.
func TestRulesThatAreNotTakenAreAnError(t *testing.T) {
	server := apitest.Start(t)
	err := netpol.Enforcer{Cluster: server.Config, Log: slog.New(slog.DiscardHandler), Apply: func(ctx context.Context, _ string) error {
		return netpol.Check(ctx, "no ruleset")
	}}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "enforce the cluster's policies: nft --check") {
		t.Errorf("it ends with %v", err)
	}
}
