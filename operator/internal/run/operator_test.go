package run

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/services/loopback"
)

// quiet are the settings of an operator that observes itself, and says little.
var quiet = Settings{LogLevel: slog.LevelWarn}

func TestMain(m *testing.M) {
	if _, err := quiet.Observe(context.Background()); err != nil {
		panic(err)
	}
	os.Exit(apitest.Run(m))
}

// An operator with no more rights than its Role says leads, and tells what is
// missing before it can move a flow. How much it logs is changed while it runs.
func TestAnOperatorTellsThatAFlowHasNoEnvironment(t *testing.T) {
	server := apitest.Start(t)
	c, namespace := server.Client(t), server.Namespace(t)
	operator := server.Operator(t, namespace)
	settings := quiet
	settings.Namespaces, settings.Home, settings.LeaderElect = []string{namespace}, namespace, true
	settings.MetricsAddr, settings.HealthAddr = loopback.Address(t), "0"
	settings.LeaseDuration, settings.RenewDeadline, settings.RetryPeriod = 15*time.Second, 10*time.Second, 2*time.Second
	settings.WatchEvery = 30 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Operator(ctx, operator, settings) }()
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
	awaitMissing(t, c, flow)
	for _, step := range []struct{ method, body, want string }{
		{http.MethodGet, "", `{"level":"warn"}`},
		{http.MethodPut, "loud", "write debug, info, warn or error"},
		{http.MethodPut, "error", `{"level":"error"}`},
		{http.MethodPut, "warn", `{"level":"warn"}`},
	} {
		if got := logLevel(t, settings.MetricsAddr, step.method, step.body); !strings.Contains(got, step.want) {
			t.Errorf("%s %q is answered %s, want %s", step.method, step.body, got, step.want)
		}
	}
}

// awaitMissing waits until the flow's status says what is missing.
func awaitMissing(t *testing.T, c client.Client, flow *v1alpha1.InformationFlow) {
	t.Helper()
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

// logLevel asks an operator how much it logs, or says so.
func logLevel(t *testing.T, at, method, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+at+"/loglevel", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // all was read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
