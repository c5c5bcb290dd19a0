// Command netpol enforces a cluster's NetworkPolicies on the node that it runs on, which
// routes its pods itself, until it is told to end: a part of the cluster that tests run
// on.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

type command struct {
	Kubeconfig string `required:"" type:"existingfile" help:"Leads to the cluster, as somebody who may watch its pods, namespaces and policies."`
	NameServer string `help:"The address of a name server that is a process of the node: to policies it is the pod that it is elsewhere, k8s-app=kube-dns in kube-system."`
}

// Run enforces until the context ends.
func (c command) Run(ctx context.Context) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	log.SetLogger(logr.FromSlogHandler(logger.Handler()))
	cluster, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", c.Kubeconfig, err)
	}
	return netpol.Enforcer{Cluster: cluster, Processes: c.processes(), Apply: netpol.Apply, Log: logger}.Run(ctx)
}

func (c command) processes() []corev1.Pod {
	if c.NameServer == "" {
		return nil
	}
	return []corev1.Pod{{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "name-server", Labels: map[string]string{"k8s-app": "kube-dns"}},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: c.NameServer}}},
	}}
}

func main() {
	var c command
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	parsed := kong.Parse(&c, kong.Name("netpol"), kong.Description("Enforces a cluster's NetworkPolicies on its node."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	err := parsed.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "netpol:", err)
		os.Exit(1)
	}
}
