package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Settings say what a service's telemetry is about. Whether traces are
// exported, and where to, is OpenTelemetry's own configuration (OTEL_*).
type Settings struct {
	Service string     // the service's name, in each log line and span
	Version string     // the service's version, in each span
	Level   slog.Level // the logger's first level
	Output  io.Writer  // where logs go; nil: stderr
	// Registry is where the metrics are; nil: in one of its own, with those of the Go
	// runtime and of the process.
	Registry Registry
	// Exporter takes the spans instead of the exporter that the environment
	// names. Each span is handed over when it ends.
	Exporter sdktrace.SpanExporter
}

// Registry holds metrics, and tells them.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Telemetry is what a service observes itself with. Shutdown it at the end.
type Telemetry struct {
	// Logger writes JSON lines, with trace_id and span_id of the context.
	Logger *slog.Logger
	// Level is the logger's level. It may be changed at any time.
	Level *slog.LevelVar
	// Registry holds the service's metrics, the Go runtime's among them.
	Registry Registry

	provider *sdktrace.TracerProvider // nil: traces are not installed
	stops    []func(context.Context) error
}

// Start sets a service's telemetry up. It fails where the environment asks for
// an exporter that there is not.
func Start(ctx context.Context, settings Settings) (*Telemetry, error) {
	t := &Telemetry{Level: new(slog.LevelVar), Registry: settings.Registry}
	if t.Registry == nil {
		t.Registry = newRegistry()
	}
	t.Level.Set(settings.Level)
	output := settings.Output
	if output == nil {
		output = os.Stderr
	}
	t.Logger = newLogger(output, t.Level, settings.Service)
	if err := t.export(ctx, settings); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	grpcTarget.Store(t.Logger)

	provider, err := newProvider(ctx, settings, t)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if provider != nil {
		t.provider = provider
		t.stops = append(t.stops, provider.Shutdown)
		// The SDK reports what it can't export nowhere else.
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
			t.Logger.Warn("telemetry is incomplete", "error", err.Error())
		}))
	}
	return t, nil
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return registry
}

// TracerProvider returns what makes tracers; installed is false when traces are
// off, and then nothing is to be set up with it.
func (t *Telemetry) TracerProvider() (provider trace.TracerProvider, installed bool) {
	if t.provider == nil {
		return noop.NewTracerProvider(), false
	}
	return t.provider, true
}

// Tracer returns a tracer for the package name. Where traces are off its spans
// record nothing, and keep the trace context as it is.
func (t *Telemetry) Tracer(name string) trace.Tracer {
	provider, _ := t.TracerProvider()
	return provider.Tracer(name)
}

// Shutdown hands over what is still here, within ctx.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.stop(ctx); err != nil {
		return fmt.Errorf("telemetry: flush what is not handed over: %w", err)
	}
	return nil
}
