package bench_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/internal/migrate"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/operator/internal/writes"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/controltest"
	"github.com/triangle-suite/triangle/services/loopback"
)

// cadences are those of the steps, each faster than the one before: as many as a
// migration may have.
var cadences = []string{
	"0 2 1 * *", "0 2 * * 1", "0 2 * * 1,4", "0 2 * * *", "0 */12 * * *", "0 */8 * * *", "0 */6 * * *", "0 */4 * * *",
	"0 */3 * * *", "0 */2 * * *", "0 * * * *", "*/30 * * * *", "*/20 * * * *", "*/15 * * * *", "*/10 * * * *", "*/5 * * * *",
}

// world is a namespace of a real API server with flows of a real event store, whose
// consumers are played.
type world struct {
	testing.TB
	server    *apitest.Server
	client    client.WithWatch
	namespace string
	store     string
	flows     *control.Flows
	players   *controltest.Players
	names     []string
	metrics   string               // the address of the operator's
	traces    trace.TracerProvider // of the operator; nil: none
}

func newWorld(tb testing.TB, n int) *world {
	tb.Helper()
	w := &world{TB: tb, server: apitest.Start(tb)}
	w.namespace = w.server.Namespace(tb)
	scheme, err := apitest.Scheme()
	w.check(err)
	w.client, err = client.NewWithWatch(w.server.Config, client.Options{Scheme: scheme})
	w.check(err)
	w.store = serve(tb)
	w.flows, err = control.Connect(w.store)
	w.check(err)
	tb.Cleanup(func() { w.check(w.flows.Close()) })
	var all []flows.Flow
	for i := range n {
		w.names = append(w.names, fmt.Sprintf("bench-%04d", i))
		all = append(all, flows.Flow{
			Name: w.names[i], From: flows.Sales, To: flows.Marketing, Types: []string{"sales.RequestStatusChanged"}, Key: []string{"request_id"},
			Cadence: cadences[0], Owner: "Request management", Rationale: "One of very many, to see what they cost.",
		})
	}
	w.players, err = controltest.NewPlayers(w.store, all)
	w.check(err)
	tb.Cleanup(func() { w.check(w.players.Close()) })
	w.check(w.players.Announce(tb.Context()))
	w.background(w.players.Run)
	return w
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// background runs something until the function that it returns is called, or the test
// ends.
func (w *world) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				w.Error(err)
			}
		})
	}
	w.Cleanup(stop)
	return stop
}

// the program of the event store, built when a test first runs it.
var the struct {
	once sync.Once
	dir  string
	err  error
}

// serve runs an event store as a process of its own, with its data on the disk, and
// returns its connection string.
func serve(tb testing.TB) string {
	tb.Helper()
	the.once.Do(func() {
		if the.dir, the.err = os.MkdirTemp("", "triangle-programs-"); the.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", the.dir+string(filepath.Separator), "../../services/eventstore/cmd/event-store")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			the.err = fmt.Errorf("build the event store: %w\n%s", err, out)
		}
	})
	if the.err != nil {
		tb.Fatal(the.err)
	}
	address := loopback.Address(tb)
	cmd := exec.Command(filepath.Join(the.dir, "event-store"), "--addr", address, "--data", filepath.Join(tb.TempDir(), "store"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			tb.Errorf("the event store ended with %v", err)
		}
	})
	return "esdb://" + address + "?tls=false"
}

// Store implements migrate.Stores.
func (w *world) Store(_ context.Context, namespace string) (*control.Flows, error) {
	if namespace != w.namespace {
		return nil, migrate.ErrNoEnvironment
	}
	return w.flows, nil
}

// operate runs an operator, which serves its metrics.
func (w *world) operate() {
	w.Helper()
	scheme, err := apitest.Scheme()
	w.check(err)
	again := true
	w.metrics = loopback.Address(w)
	watched := writes.Total.Watch(w.server.Config)
	if w.traces != nil {
		watched = traces.Watch(watched)
	}
	manager, err := ctrl.NewManager(watched, ctrl.Options{
		Scheme: scheme, Metrics: metrics.Options{BindAddress: w.metrics}, Controller: config.Controller{SkipNameValidation: &again},
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{w.namespace: {}}},
	})
	w.check(err)
	operator := &migrate.Flows{
		Client: manager.GetClient(), Reader: manager.GetAPIReader(), Stores: w, Instance: "bench", Now: time.Now,
		Recorder: manager.GetEventRecorder("triangle-operator"), Traces: w.traces,
	}
	w.background(func(ctx context.Context) error {
		return errors.Join(operator.Setup(ctx, manager), manager.Start(ctx))
	})
}

// create makes an InformationFlow of each flow, or of some of them.
func (w *world) create(names []string) {
	w.Helper()
	work, ctx := errgroup.WithContext(w.Context())
	work.SetLimit(8)
	for _, name := range names {
		work.Go(func() error { return w.client.Create(ctx, w.object(name)) })
	}
	w.check(work.Wait())
}

// object goes through all steps, and from each as soon as the consumer has told that
// next to nothing waits.
func (w *world) object(name string) *v1alpha1.InformationFlow {
	o := &v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	o.Spec.Flow = name
	for i, cadence := range cadences {
		o.Spec.Migration.Steps = append(o.Spec.Migration.Steps, v1alpha1.Step{
			Name: stepName(i), Cadence: v1alpha1.Cadence{Cron: cadence}, Gates: []v1alpha1.Gate{{Name: "lag", Lag: &v1alpha1.LagGate{MaxEvents: 10}}},
		})
	}
	return o
}

func stepName(i int) string { return fmt.Sprintf("step-%d", i) }
