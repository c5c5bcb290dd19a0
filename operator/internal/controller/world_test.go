package controller_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/internal/controller"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(apitest.Run(m))
}

// clock is that of the operator and of the store.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// world is a namespace with an operator, an event store, and pods that are played.
type world struct {
	*nodes
	t         *testing.T
	clock     *clock
	store     *eventstoretest.Server
	client    client.Client
	namespace string
	rights    *rest.Config                // the operator's: what the manifests let it do
	looks     atomic.Int64                // at the Triangle, by the operator
	spans     *tracetest.InMemoryExporter // of the operator
	end       context.CancelFunc          // of the operator
	ended     chan error
}

func newWorld(t *testing.T, options ...eventstoretest.Option) *world {
	t.Helper()
	t.Parallel() // it waits more than it works
	w := &world{t: t, clock: &clock{}, spans: tracetest.NewInMemoryExporter()}
	w.store = eventstoretest.Start(t, append(options, eventstoretest.OnDisk(), eventstoretest.WithClock(w.clock.now))...)
	server := apitest.Start(t)
	w.client, w.namespace = server.Client(t), server.Namespace(t)
	w.rights = server.Operator(t, w.namespace)
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "store", Namespace: w.namespace},
		Data:       map[string][]byte{"connection": []byte(w.store.ConnectionString())},
	})
	w.nodes = newNodes(t, w)
	w.operate()
	return w
}

// operate starts an operator; it ends with the test, or when it is killed.
func (w *world) operate() {
	w.t.Helper()
	skip := true
	scheme, err := apitest.Scheme()
	if err != nil {
		w.t.Fatal(err)
	}
	manager, err := ctrl.NewManager(traces.Watch(w.rights), ctrl.Options{
		Scheme: scheme, Metrics: metrics.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &skip},
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{w.namespace: {}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &controller.Triangles{
		Client: manager.GetClient(), Reader: counted{manager.GetAPIReader(), &w.looks}, Recorder: manager.GetEventRecorder("triangle-operator"),
		Now: w.clock.now, Poll: 30 * time.Millisecond, Idle: 100 * time.Millisecond,
		Traces: sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans)),
	}
	if err := r.SetupWithManager(manager); err != nil {
		w.t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	w.end, w.ended = end, ended
	w.t.Cleanup(func() { w.kill() })
}

// counted counts the looks at Triangles.
type counted struct {
	client.Reader
	looks *atomic.Int64
}

func (c counted) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	if _, ok := o.(*v1alpha1.Triangle); ok {
		c.looks.Add(1)
	}
	return c.Reader.Get(ctx, key, o, options...)
}

// kill ends the operator.
func (w *world) kill() {
	w.t.Helper()
	if w.end == nil {
		return
	}
	w.end()
	w.end = nil
	if err := <-w.ended; err != nil {
		w.t.Errorf("the operator ended with %v", err)
	}
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// triangle is an environment on SQLite, with images of version 1.
func (w *world) triangle() *v1alpha1.Triangle {
	one := func(service string) v1alpha1.Service {
		return v1alpha1.Service{Image: v1alpha1.Image("registry/" + service + ":1")}
	}
	return &v1alpha1.Triangle{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: w.namespace},
		Spec: v1alpha1.TriangleSpec{
			EventStore: v1alpha1.EventStore{ConnectionSecretRef: &v1alpha1.SecretKey{Name: "store", Key: "connection"}},
			Database:   v1alpha1.Database{SQLite: &v1alpha1.SQLite{Size: resource.MustParse("1Gi")}},
			Channel:    one("channel"), Sales: one("sales"), Marketing: one("marketing"),
			Rollout: v1alpha1.Rollout{Deadline: "10m", Observe: "1m"},
		},
	}
}

func (w *world) get() *v1alpha1.Triangle {
	w.t.Helper()
	t := &v1alpha1.Triangle{}
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "shop"}, t); err != nil {
		w.t.Fatal(err)
	}
	return t
}

// change changes the Triangle, whoever else does.
func (w *world) change(how func(*v1alpha1.Triangle)) {
	w.t.Helper()
	t := w.get()
	before := t.DeepCopy()
	how(t)
	if err := w.client.Patch(w.t.Context(), t, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// await waits until something is so.
func (w *world) await(what string, so func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(60 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("%s has not come about: %+v; the stream tells %s", what, w.get().Status, strings.Join(w.history(), ", "))
		}
	}
}

// What a service is told to wait for while it is watched, and while it starts.
const (
	watched  = "is watched"
	starting = "to be ready"
)

// hasten waits until something is so, and lets the clock go on whenever, and only
// while, the operator waits for what is named.
func (w *world) hasten(waits, what string, so func() bool) {
	w.t.Helper()
	w.await(what, func() bool {
		c := meta.FindStatusCondition(w.get().Status.Conditions, v1alpha1.ConditionReconciling)
		if c != nil && strings.Contains(c.Message, waits) {
			w.clock.advance(30 * time.Second)
		}
		return so()
	})
}

// stands waits until a condition has a status, and a message with a part.
func (w *world) stands(kind string, status metav1.ConditionStatus, part string) {
	w.t.Helper()
	w.await(fmt.Sprintf("%s %s with %q", kind, status, part), func() bool {
		c := meta.FindStatusCondition(w.get().Status.Conditions, kind)
		return c != nil && c.Status == status && strings.Contains(c.Message, part)
	})
}

// serves waits until all services have the images that are wanted, and as long as
// those are watched.
func (w *world) serves() {
	w.t.Helper()
	w.hasten(watched, "all services on their images", func() bool {
		t := w.get()
		wanted := map[string]v1alpha1.Image{"channel": t.Spec.Channel.Image, "sales": t.Spec.Sales.Image, "marketing": t.Spec.Marketing.Image}
		ok := len(t.Status.Services) == 3 && meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady)
		for _, s := range t.Status.Services {
			ok = ok && s.GoodImage == string(wanted[s.Name]) && s.Image == s.GoodImage
		}
		return ok && meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionReconciling) == nil
	})
}

// suite is what the streams tell.
func (w *world) suite() control.Suite {
	w.t.Helper()
	f, err := control.Connect(w.store.ConnectionString())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			w.t.Error(err)
		}
	}()
	suite, err := f.Suite(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return suite
}

// record is what the stream says of a service's rollouts.
func (w *world) record(service string) rollout.Record {
	w.t.Helper()
	for _, s := range w.suite().Services {
		if string(s.Name) == service {
			var all []rollout.Event
			for _, e := range s.Rollouts {
				all = append(all, rollout.Event{At: e.At, Message: e.Event})
			}
			return rollout.Fold(all)
		}
	}
	w.t.Fatalf("there is no service %s", service)
	return rollout.Record{}
}

// history tells the events of all rollouts, service by service.
func (w *world) history() (all []string) {
	for _, s := range w.suite().Services {
		for _, e := range s.Rollouts {
			name := string(e.Event.ProtoReflect().Descriptor().Name())
			all = append(all, fmt.Sprintf("%s:%s", s.Name, name))
		}
	}
	return all
}
