package faults_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/loopback"
)

// flow goes from sales to marketing: daily by the catalogue.
const flow = "customer-facts"

// world is a namespace of a real API server, with an environment: an event store, and
// the two services at the ends of a flow.
type world struct {
	*testing.T
	server    *apitest.Server
	client    client.Client
	namespace string
	rights    *rest.Config // the operator's: what the manifests let it do
	data      string

	clock              clock
	store              *eventstoretest.Server
	toOperator         *link // that operators know
	toConsumer         *link // that marketing knows
	flows              *control.Flows
	sales, marketing   *process
	journal            *journal
	prober             *prober
	marketingProcesses int
}

// clock is the store's.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel() // it waits more than it works
	server := apitest.Start(t)
	w := &world{T: t, server: server, client: server.Client(t), namespace: server.Namespace(t), data: t.TempDir()}
	w.rights = server.Operator(t, w.namespace)
	w.store = eventstoretest.Start(t, eventstoretest.OnDisk(), eventstoretest.WithClock(w.clock.now))
	w.toOperator, w.toConsumer = newLink(t, w.store.Addr()), newLink(t, w.store.Addr())
	var err error
	if w.flows, err = control.Connect(w.store.ConnectionString()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.flows.Close(); err != nil {
			t.Error(err)
		}
	})
	w.sales = w.serve("sales", "sales", w.store.ConnectionString())
	w.marketing = w.replica()
	w.await("both services", func() bool { return w.sales.isReady() && w.marketing.isReady() })
	w.journal = w.keepJournal()
	w.prober = w.probe()
	w.environment()
	return w
}

// serve runs a service, that finds the store by a connection string.
func (w *world) serve(name, service, connection string) *process {
	w.Helper()
	at := loopback.Address(w.T)
	p := w.launch(
		name, program(w.T, service+"-support"), nil,
		"TRIANGLE_EVENTSTORE="+connection, "TRIANGLE_DATABASE="+filepath.Join(w.data, service+".db"), "TRIANGLE_KEYS="+filepath.Join(w.data, "keys.db"),
		"TRIANGLE_HTTP_ADDR="+at, "TRIANGLE_GRPC_ADDR="+loopback.Address(w.T), "TRIANGLE_IMAGE=registry/"+service+":1",
	)
	p.ready = at
	return p
}

// replica runs one more process of the consumer, on its database.
func (w *world) replica() *process {
	w.marketingProcesses++
	return w.serve("marketing-"+string(rune('0'+w.marketingProcesses)), "marketing", w.toConsumer.connection())
}

// environment makes the Triangle whose store it is. No image of it ever runs here.
func (w *world) environment() {
	w.Helper()
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "store", Namespace: w.namespace},
		Data:       map[string][]byte{"connection": []byte(w.toOperator.connection())},
	})
	w.create(&v1alpha1.Triangle{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: w.namespace},
		Spec: v1alpha1.TriangleSpec{
			EventStore: v1alpha1.EventStore{ConnectionSecretRef: &v1alpha1.SecretKey{Name: "store", Key: "connection"}},
			Database:   v1alpha1.Database{SQLite: &v1alpha1.SQLite{Size: resource.MustParse("1Gi")}},
			Channel:    v1alpha1.Service{Image: "registry/channel:1"}, Sales: v1alpha1.Service{Image: "registry/sales:1"}, Marketing: v1alpha1.Service{Image: "registry/marketing:1"},
			Rollout: v1alpha1.Rollout{Deadline: "1h", Observe: "1s"},
		},
	})
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := w.client.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

// await looks until it is so, or three minutes have passed.
func (w *world) await(what string, isSo func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !isSo() {
		select {
		case <-ctx.Done():
			w.tellAll()
			w.Fatalf("waited three minutes for: %s", what)
		case <-tick.C:
		}
	}
}

// tellAll prints how things stand.
func (w *world) tellAll() {
	object := &v1alpha1.InformationFlow{}
	if err := w.client.Get(context.WithoutCancel(w.Context()), w.key(), object); err == nil {
		w.Logf("it stands so: %+v", object.Status)
	}
	if w.journal == nil {
		return
	}
	words, _ := w.journal.look()
	for _, one := range words {
		if one.kind != "MigrationsWatched" {
			w.Logf("%s: %s", one.stream, one)
		}
	}
}

// migration goes from every other second to every one, which is tried beside it and
// proved, and, once somebody has agreed, to real time.
func (w *world) migration() *v1alpha1.InformationFlow {
	return &v1alpha1.InformationFlow{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "InformationFlow"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "facts"},
		Spec: v1alpha1.InformationFlowSpec{Flow: flow, Migration: v1alpha1.Migration{Steps: []v1alpha1.Step{
			{Name: "seldom", Cadence: v1alpha1.Cadence{Cron: "*/2 * * * * *"}},
			{
				Name: "often", Cadence: v1alpha1.Cadence{Cron: "* * * * * *"}, Shadow: &v1alpha1.Shadow{Windows: 1},
				Gates: []v1alpha1.Gate{{Name: "parity", Parity: &v1alpha1.ParityGate{}}},
			},
			{Name: "realtime", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}, Approval: &v1alpha1.Approval{Mode: v1alpha1.ApprovalRequired, Timeout: "1h"}},
		}}},
	}
}

func (w *world) key() client.ObjectKey {
	return client.ObjectKey{Namespace: w.namespace, Name: "facts"}
}

// now is the flow as it is told.
func (w *world) now() *v1alpha1.InformationFlow {
	w.Helper()
	object := &v1alpha1.InformationFlow{}
	if err := w.client.Get(w.Context(), w.key(), object); err != nil {
		w.Fatal(err)
	}
	return object
}

func (w *world) condition(kind string) metav1.Condition {
	w.Helper()
	if c := meta.FindStatusCondition(w.now().Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func (w *world) stands(kind string, status metav1.ConditionStatus) {
	w.Helper()
	w.await(kind+" "+string(status), func() bool { return w.condition(kind).Status == status })
}

// approve agrees to the last step, of the plan that there is.
func (w *world) approve() {
	w.Helper()
	var plan string
	w.await("a plan", func() bool { plan = w.now().Status.PlanHash; return plan != "" })
	w.approval("yes", v1alpha1.FlowApprovalSpec{Flow: "facts", Step: "realtime", PlanHash: plan})
}

// approval makes one, as the person that the policy lets say so.
func (w *world) approval(name string, spec v1alpha1.FlowApprovalSpec) *v1alpha1.FlowApproval {
	w.Helper()
	spec.ApprovedBy = "anna@example.com"
	approval := &v1alpha1.FlowApproval{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: spec}
	anna := w.server.User(w, spec.ApprovedBy, "system:masters")
	if err := w.server.ClientOf(w, anna).Create(w.Context(), approval); err != nil {
		w.Fatal(err)
	}
	return approval
}

// arrives waits until the flow runs in real time, and takes the account: of what was
// sent nothing is lost or there twice, and nothing was done twice.
func (w *world) arrives() {
	w.Helper()
	w.stands(v1alpha1.ConditionMigrationComplete, metav1.ConditionTrue)
	w.stands(v1alpha1.ConditionReady, metav1.ConditionTrue)
	if s := w.now().Status; s.Cadence != "realtime" || s.CurrentStep != "realtime" || s.Epoch != 4 {
		w.Errorf("at the end it is %+v", s)
	}
	w.prober.account()
	w.await("the end of epoch 3", func() bool { return len(w.journal.of("EpochClosed")) >= 3 })
	for kind, want := range map[string][]string{
		"CadenceRequested": {"2", "3", "4"}, "CadenceAdopted": {"2", "3", "4"}, "EpochClosed": {"1", "2", "3"},
	} {
		if got := w.journal.epochs(kind); !slices.Equal(got, want) {
			w.Errorf("%s of the epochs %v, want %v", kind, got, want)
		}
	}
	for _, kind := range []string{"MigrationPlanned", "ShadowRequested", "ShadowEnded", "ApprovalAwaited", "ApprovalCounted"} {
		if n := len(w.journal.of(kind)); n != 1 {
			w.Errorf("%d times %s, want it once", n, kind)
		}
	}
	asked := len(w.journal.of("AuditRequested")) - 1 // the prober's own
	if judged := len(w.journal.of("ParityJudged")); asked != judged {
		w.Errorf("%d audits were asked for, %d judged", asked, judged)
	}
	if w.Failed() {
		w.tellAll()
	}
}
