// Package run makes an operator of its parts.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/controller"
	"github.com/triangle-suite/triangle/operator/internal/migrate"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/operator/internal/writes"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Settings are the operator's, as flags and as environment variables.
type Settings struct {
	Namespaces    []string   `env:"TRIANGLE_NAMESPACES" placeholder:"NAME" help:"The namespaces to look after: in each it needs a Role."`
	AllNamespaces bool       `env:"TRIANGLE_ALL_NAMESPACES" help:"Look after all namespaces: it needs a ClusterRole then."`
	LeaderElect   bool       `env:"TRIANGLE_LEADER_ELECT" default:"true" negatable:"" help:"Let one replica of several do the work."`
	Home          string     `name:"home-namespace" env:"POD_NAMESPACE" placeholder:"NAME" help:"Where the replicas agree who leads: where they run."`
	MetricsAddr   string     `env:"TRIANGLE_METRICS_ADDR" default:":8080" help:"Where /metrics is served, and /loglevel to this machine; 0: nowhere."`
	HealthAddr    string     `env:"TRIANGLE_HEALTH_ADDR" default:":8081" help:"Where /healthz and /readyz are served; 0: nowhere."`
	LogLevel      slog.Level `env:"TRIANGLE_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`

	LeaseDuration time.Duration `env:"TRIANGLE_LEASE_DURATION" default:"15s" help:"How long the others wait for a leader of whom nothing is heard."`
	RenewDeadline time.Duration `env:"TRIANGLE_RENEW_DEADLINE" default:"10s" help:"How long a leader goes on that can't say that it leads: shorter than that."`
	RetryPeriod   time.Duration `env:"TRIANGLE_RETRY_PERIOD" default:"2s" help:"How often a leader says that it leads, and the others look."`
	WatchEvery    time.Duration `env:"TRIANGLE_WATCH_EVERY" default:"30s" help:"How often it looks whether the event store answers, and says there that it watches: at most 45s."`

	// Traces shows what the operator does, as spans; nil: it is not shown.
	Traces trace.TracerProvider `kong:"-"`

	logLevel http.Handler // beside /metrics; nil: it is not served
}

// Errors of Check.
var (
	// ErrNamespaces says that it is not clear what to look after.
	ErrNamespaces = errors.New("say what to look after: either --namespaces or --all-namespaces")
	// ErrHome says that replicas have nowhere to agree.
	ErrHome = errors.New("say where the replicas agree who leads, with --home-namespace or POD_NAMESPACE; or add --no-leader-elect where there is one only")
	// ErrLease says that two replicas might lead at once, or none for long.
	ErrLease = errors.New("of the lease's times, --retry-period has to be the shortest, and --lease-duration the longest: 2s, 10s and 15s are usual")
	// ErrWatch says that time would count as not watched.
	ErrWatch = errors.New("--watch-every has to be more than 0, and at most half of the " + control.WatchTolerance.String() + " after which time counts as not watched")
)

// Check tells what is wrong with the settings before anything starts.
func (s Settings) Check() error {
	switch {
	case (len(s.Namespaces) > 0) == s.AllNamespaces:
		return ErrNamespaces
	case s.LeaderElect && s.Home == "":
		return ErrHome
	case s.LeaderElect && (s.RetryPeriod <= 0 || s.RenewDeadline < 2*s.RetryPeriod || s.LeaseDuration <= s.RenewDeadline):
		return ErrLease
	case s.WatchEvery <= 0 || s.WatchEvery > control.WatchTolerance/2:
		return ErrWatch
	}
	return nil
}

// leaseName is the Lease's.
const leaseName = "triangle-operator"

// name is what the operator is called in its logs and spans.
const name = "triangle-operator"

// Observe has everything in this process log as the services do: to the standard
// error, as JSON, in UTC and with the trace, and has its metrics served with the
// controllers' own. It says, by OpenTelemetry's own OTEL_*,
// whether and where to traces go, and fails where they ask for what there is not. It is
// for the process to call, before anything else, and to Shutdown at the end.
func (s *Settings) Observe(ctx context.Context) (*telemetry.Telemetry, error) {
	t, err := telemetry.Start(ctx, telemetry.Settings{Service: name, Version: version(), Level: s.LogLevel, Registry: metrics.Registry})
	if err != nil {
		return nil, err
	}
	logger := logr.FromSlogHandler(traces.Handler(t.Logger.Handler()))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	if provider, installed := t.TracerProvider(); installed {
		s.Traces = provider
	}
	s.logLevel = t.LogLevel(refuse)
	return t, nil
}

// refuse says in one line why the log's level is not told, or not changed.
func refuse(w http.ResponseWriter, _ *http.Request, status int, _, detail string) {
	http.Error(w, detail, status)
}

// version is that of the build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// Operator runs until ctx ends, or until it does not lead any more: then it fails,
// so that its process ends and with it all that it was about to do.
func Operator(ctx context.Context, cluster *rest.Config, settings Settings) error {
	scheme, err := scheme()
	if err != nil {
		return err
	}
	options, may := settings.options(scheme), func() error { return nil }
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the name of this replica: %w", err)
	}
	if settings.LeaderElect {
		lease, err := newLease(cluster, settings)
		if err != nil {
			return err
		}
		options.LeaderElectionResourceLockInterface = lease
		may, instance = lease.held, lease.Identity()
	}
	watched := writes.Total.Watch(cluster)
	if settings.Traces != nil {
		watched = traces.Watch(watched)
	}
	manager, err := ctrl.NewManager(guard(watched, may), options)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	if err := settings.add(ctx, manager, instance, may); err != nil {
		return err
	}
	return manager.Start(ctx)
}

// add has the manager run both controllers, which write only while they may.
func (s Settings) add(ctx context.Context, manager ctrl.Manager, instance string, may func() error) error {
	recorder := manager.GetEventRecorder("triangle-operator")
	triangles := &controller.Triangles{Client: manager.GetClient(), Reader: manager.GetAPIReader(), Recorder: recorder, Now: time.Now, May: may, Traces: s.Traces}
	if err := triangles.SetupWithManager(manager); err != nil {
		return err
	}
	flows := &migrate.Flows{
		Client: manager.GetClient(), Reader: manager.GetAPIReader(), Stores: triangles, Instance: instance, Now: time.Now, Recorder: recorder, Every: s.WatchEvery,
		Traces: s.Traces,
	}
	if err := flows.Setup(ctx, manager); err != nil {
		return err
	}
	return errors.Join(manager.AddHealthzCheck("ping", healthz.Ping), manager.AddReadyzCheck("ping", healthz.Ping))
}

func (s Settings) options(scheme *runtime.Scheme) ctrl.Options {
	o := ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 server.Options{BindAddress: s.MetricsAddr},
		HealthProbeBindAddress:  s.HealthAddr,
		LeaderElection:          s.LeaderElect,
		LeaderElectionID:        leaseName,
		LeaderElectionNamespace: s.Home,
		LeaseDuration:           new(s.LeaseDuration),
		RenewDeadline:           new(s.RenewDeadline),
		RetryPeriod:             new(s.RetryPeriod),
		// Whoever stops in good order lets the next one begin at once; the process ends
		// with it.
		LeaderElectionReleaseOnCancel: true,
	}
	if s.logLevel != nil {
		o.Metrics.ExtraHandlers = map[string]http.Handler{"/loglevel": s.logLevel}
	}
	if !s.AllNamespaces {
		o.Cache.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range s.Namespaces {
			o.Cache.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return o
}

func scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		return nil, fmt.Errorf("the kinds that the operator knows: %w", err)
	}
	return s, nil
}
