package run

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
)

func TestMain(m *testing.M) {
	settings := Settings{LogLevel: slog.LevelWarn}
	if _, err := settings.Observe(context.Background()); err != nil {
		panic(err)
	}
	os.Exit(apitest.Run(m))
}

// An operator with no more rights than its Role says leads, and tells what is
// missing before it can move a flow.
func TestAnOperatorTellsThatAFlowHasNoEnvironment(t *testing.T) {
	server := apitest.Start(t)
	c, namespace := server.Client(t), server.Namespace(t)
	operator := server.Operator(t, namespace)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Operator(ctx, operator, Settings{
			Namespaces: []string{namespace}, LeaderElect: true, Home: namespace, MetricsAddr: "0", HealthAddr: "0",
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second, WatchEvery: 30 * time.Second,
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended with %v", err)
		}
	})
	flow := &v1alpha1.InformationFlow{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "facts"},
		Spec: v1alpha1.InformationFlowSpec{Flow: "customer-facts", Migration: v1alpha1.Migration{Steps: []v1alpha1.Step{
			{Name: "realtime", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}},
		}}},
	}
	if err := c.Create(t.Context(), flow); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(flow), flow); err != nil {
			t.Fatal(err)
		}
		reachable := meta.FindStatusCondition(flow.Status.Conditions, v1alpha1.ConditionEventStoreReachable)
		if reachable != nil && strings.Contains(reachable.Message, "make one first") {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it tells nothing of an environment that is missing: %+v", flow.Status)
		}
	}
}
