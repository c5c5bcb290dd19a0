package migrate_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	_ "modernc.org/sqlite" // to take a row away behind the consumer's back
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/internal/migrate"
	"github.com/triangle-suite/triangle/services/control"
)

const flow = "customer-facts"

// cluster is a namespace of a real API server, with a suite as its environment.
type cluster struct {
	*suite
	server    *apitest.Server
	client    client.Client
	namespace string
	traces    trace.TracerProvider // of operators; nil: none
}

// Store implements migrate.Stores.
func (c *cluster) Store(_ context.Context, namespace string) (*control.Flows, error) {
	if namespace != c.namespace {
		return nil, migrate.ErrNoEnvironment
	}
	return c.flows, nil
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	server := apitest.Start(t)
	return &cluster{suite: up(t), server: server, client: server.Client(t), namespace: server.Namespace(t)}
}

// operate runs an operator until the function that it returns is called, or the
// test ends.
func (c *cluster) operate(name string) (stop func()) {
	c.Helper()
	scheme, err := apitest.Scheme()
	if err != nil {
		c.Fatal(err)
	}
	again := true
	manager, err := ctrl.NewManager(c.server.Config, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	operator := &migrate.Flows{
		Client: manager.GetClient(), Reader: manager.GetAPIReader(), Stores: c, Instance: name, Now: time.Now,
		Recorder: manager.GetEventRecorder("triangle-operator"), Traces: c.traces,
	}
	if err := operator.Setup(ctx, manager); err != nil {
		c.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				c.Errorf("the operator ended with %v", err)
			}
		})
	}
	c.Cleanup(stop)
	return stop
}

// migration goes from every five seconds to every other one, and, once that is as
// the gates want it and somebody has agreed, to real time.
func (c *cluster) migration(gates ...v1alpha1.Gate) *v1alpha1.InformationFlow {
	return &v1alpha1.InformationFlow{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "facts"},
		Spec: v1alpha1.InformationFlowSpec{Flow: flow, Migration: v1alpha1.Migration{Steps: []v1alpha1.Step{
			{Name: "seldom", Cadence: v1alpha1.Cadence{Cron: "*/5 * * * * *"}},
			{Name: "often", Cadence: v1alpha1.Cadence{Cron: "*/2 * * * * *"}, Gates: gates},
			{Name: "realtime", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}, Approval: &v1alpha1.Approval{Mode: v1alpha1.ApprovalRequired}},
		}}},
	}
}

var parity = v1alpha1.Gate{Name: "parity", Parity: &v1alpha1.ParityGate{}}

func (c *cluster) create(o client.Object) {
	c.Helper()
	if err := c.client.Create(c.Context(), o); err != nil {
		c.Fatal(err)
	}
}

// now is the flow as it is told.
func (c *cluster) now() *v1alpha1.InformationFlow {
	c.Helper()
	object := &v1alpha1.InformationFlow{}
	if err := c.client.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "facts"}, object); err != nil {
		c.Fatal(err)
	}
	return object
}

func (c *cluster) awaitTrue(condition string) *v1alpha1.InformationFlow {
	c.Helper()
	var object *v1alpha1.InformationFlow
	defer func() {
		if c.Failed() {
			c.Logf("it stands so: %+v", object.Status)
		}
	}()
	c.await(condition, func() bool {
		object = c.now()
		return meta.IsStatusConditionTrue(object.Status.Conditions, condition)
	})
	return object
}

func (c *cluster) awaitStep(step string) {
	c.Helper()
	c.await("step "+step, func() bool { return c.now().Status.CurrentStep == step })
}

// anna is who may approve.
const anna = "anna@example.com"

// triangle runs the command as anna, and returns what it prints.
func (c *cluster) triangle(args ...string) string {
	c.Helper()
	command := exec.CommandContext(c.Context(), filepath.Join(programs(c.T), "triangle"), append(args, "--context", "anna")...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.server.Kubeconfig(c, c.namespace, map[string]*rest.Config{"anna": c.server.User(c, anna, "system:masters")}))
	out, err := command.CombinedOutput()
	c.Logf("$ triangle %s\n%s", strings.Join(args, " "), out)
	if err != nil {
		c.Fatalf("triangle %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// approvalOf another plan, such as that of before the spec was changed.
func (c *cluster) approvalOf(plan string) *v1alpha1.FlowApproval {
	c.Helper()
	approval := &v1alpha1.FlowApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "early"},
		Spec:       v1alpha1.FlowApprovalSpec{Flow: "facts", Step: "realtime", PlanHash: plan, ApprovedBy: anna},
	}
	if err := c.server.ClientOf(c, c.server.User(c, anna, "system:masters")).Create(c.Context(), approval); err != nil {
		c.Fatal(err)
	}
	return approval
}

func (c *cluster) awaitVerdict(approval *v1alpha1.FlowApproval, want v1alpha1.Verdict) {
	c.Helper()
	c.await("the verdict "+string(want), func() bool {
		if err := c.client.Get(c.Context(), client.ObjectKeyFromObject(approval), approval); err != nil {
			c.Fatal(err)
		}
		return approval.Status.Verdict == want
	})
}

// From daily to real time, with a proof and somebody's word, and an operator that is
// replaced on the way; then the object is deleted.
func TestAFlowIsMovedToRealTime(t *testing.T) {
	c := newCluster(t)
	stop := c.operate("first")
	c.create(c.migration(parity))
	c.awaitStep("often")
	c.register(20)
	object := c.awaitTrue(v1alpha1.ConditionAwaitingApproval)
	waiting := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionAwaitingApproval)
	if want := "triangle migrate approve facts --step realtime"; waiting.Message != want {
		t.Errorf("it waits with %q, want the command %q", waiting.Message, want)
	}
	if !meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) || object.Status.CurrentStep != "often" {
		t.Errorf("while it waits the flow is %+v, want it ready at step often", object.Status)
	}
	// A window may end while they are being registered, and the proof with it.
	if p := object.Status.LastParity; p == nil || p.Produced > 20 || p.Delivered != p.Produced || p.Missing != 0 {
		t.Errorf("the proof is %+v, want as many delivered as produced, of 20", p)
	}
	c.tellsWhatItsChartAsks()

	stop()
	c.operate("second")
	c.awaitVerdict(c.approvalOf("another"), v1alpha1.ApprovalStale)
	c.register(20)
	c.triangle("migrate", "status")
	c.triangle("migrate", "approve", "facts", "--step", "realtime", "--reason", "the proof holds")
	object = c.awaitTrue(v1alpha1.ConditionMigrationComplete)
	if object.Status.Cadence != "realtime" || object.Status.CurrentStep != "realtime" {
		t.Errorf("at the end it is %+v", object.Status)
	}
	c.register(20)
	c.await("every customer is accounted for", func() bool {
		_, _, seen := c.account(flow)
		return seen == uint64(c.customers)
	})
	if lost, twice, _ := c.account(flow); lost+twice != 0 {
		t.Errorf("%d lost, %d twice", lost, twice)
	}

	if out := c.triangle("migrate", "status", "facts"); !strings.Contains(out, "realtime") {
		t.Error("the command does not tell of the last step")
	}
	wiped := object.DeepCopy()
	wiped.Status = v1alpha1.InformationFlowStatus{}
	if err := c.client.Status().Update(t.Context(), wiped); err != nil {
		t.Fatal(err)
	}
	rebuilt := c.awaitTrue(v1alpha1.ConditionMigrationComplete)
	if diff := cmp.Diff(told(object), told(rebuilt)); diff != "" {
		t.Errorf("a status that was wiped comes back as another one (-before +after):\n%s", diff)
	}

	if err := c.client.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	c.await("nobody manages the flow", func() bool {
		state, err := c.flows.Get(t.Context(), flow)
		if err != nil {
			t.Fatal(err)
		}
		return state.Manager == nil
	})
	if state, err := c.flows.Get(t.Context(), flow); err != nil || state.Cadence != "realtime" {
		t.Errorf("it goes on at %s (%v), want real time", state.Cadence, err)
	}
}

// tellsWhatItsChartAsks wants every metric of flows that dashboards and alerts rest on.
func (c *cluster) tellsWhatItsChartAsks() {
	c.Helper()
	files, err := filepath.Glob("../../../charts/triangle/files/dashboards/*.json")
	if err != nil {
		c.Fatal(err)
	}
	asked := map[string]bool{}
	for _, file := range append(files, "../../../charts/triangle/files/alerts.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			c.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`triangle_operator_flow_\w+`).FindAllString(string(text), -1) {
			asked[name] = true
		}
	}
	if len(asked) < 6 {
		c.Fatalf("they ask for %v only", asked)
	}
	for name := range asked {
		c.await("the operator tells "+name, func() bool {
			families, err := metrics.Registry.Gather()
			return err == nil && slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
		})
	}
}

// told is a status without the time of a turn that no event tells of.
func told(object *v1alpha1.InformationFlow) v1alpha1.InformationFlowStatus {
	status := *object.Status.DeepCopy()
	for i, c := range status.Conditions {
		if slices.Contains([]string{v1alpha1.ConditionEventStoreReachable}, c.Type) {
			status.Conditions[i].LastTransitionTime = metav1.Time{}
		}
	}
	return status
}

// A consumer that has lost one row of many fails its proof, and is taken back. The
// same consumer is let through where nobody asks for a proof.
func TestAConsumerThatLosesARowIsTakenBack(t *testing.T) {
	tests := map[string]struct {
		gates []v1alpha1.Gate
		want  string
		step  string
	}{
		"with parity":                 {[]v1alpha1.Gate{parity}, v1alpha1.ConditionRolledBack, "seldom"},
		"without, for the comparison": {nil, v1alpha1.ConditionAwaitingApproval, "often"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			if _, err := c.flows.Set(t.Context(), flow, "*/5 * * * * *", "test", "from the beginning"); err != nil {
				t.Fatal(err)
			}
			c.register(100)
			c.await("all are taken in", func() bool { return c.rows() == 100 })
			c.loseOne()
			c.operate("operator")
			c.create(c.migration(tc.gates...))
			object := c.awaitTrue(tc.want)
			c.awaitStep(tc.step)
			if verified := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionParityVerified); (verified.Status == metav1.ConditionFalse) != (len(tc.gates) > 0) {
				t.Errorf("parity is %+v", verified)
			}
		})
	}
}

func (c *cluster) rows() (n int) {
	c.Helper()
	c.inDatabase(func(db *sql.DB) error {
		return db.QueryRowContext(c.Context(), `SELECT count(*) FROM facts_customer`).Scan(&n)
	})
	return n
}

func (c *cluster) loseOne() {
	c.Helper()
	c.inDatabase(func(db *sql.DB) error {
		_, err := db.ExecContext(c.Context(), `DELETE FROM facts_customer WHERE customer_id = (SELECT min(customer_id) FROM facts_customer)`)
		return err
	})
}

// inDatabase works in marketing's database beside marketing.
func (c *cluster) inDatabase(do func(*sql.DB) error) {
	c.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(c.data, "marketing.db"))+"?_pragma=busy_timeout(10000)")
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := do(db); err != nil {
		c.Fatal(err)
	}
}
