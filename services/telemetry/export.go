package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/services/internal/config"
)

// asked tells whether OTEL_<signal>_EXPORTER asks for OTLP. Metrics are scraped and
// logs are written anyway, so that an endpoint alone, which may be there for traces,
// asks for nothing.
func asked(signal string) (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	name := "OTEL_" + signal + "_EXPORTER"
	switch value := os.Getenv(name); value {
	case "", "none":
		return false, nil
	case "otlp":
		return true, checkWay(signal)
	default:
		return false, config.Wrong("%s is %q: write otlp or none", name, value)
	}
}

// export has metrics and logs handed over to a collector, where the environment asks
// for it. Nothing waits for the collector: what it does not take in time is lost, and
// counted, and said once.
func (t *Telemetry) export(ctx context.Context, settings Settings) error {
	for _, signal := range []struct {
		name  string
		start func(context.Context, Settings, *outage) error
	}{{"METRICS", t.exportMetrics}, {"LOGS", t.exportLogs}} {
		wanted, err := asked(signal.name)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		lost, err := counters(t.Registry, "triangle_telemetry_export_failures_total",
			"Times that a collector did not take what was handed over to it, by signal: metrics come again, log records are lost.", "signal")
		if err != nil {
			return err
		}
		what := strings.ToLower(signal.name)
		if err := signal.start(ctx, settings, &outage{what: what, log: t.Logger, failures: lost.WithLabelValues(what)}); err != nil {
			return fmt.Errorf("export %s by OTLP: %w", what, err)
		}
	}
	return nil
}

// exportMetrics hands over what the registry holds, every minute unless
// OTEL_METRIC_EXPORT_INTERVAL says otherwise.
func (t *Telemetry) exportMetrics(ctx context.Context, settings Settings, o *outage) error {
	about, err := resourceOf(ctx, settings)
	if err != nil {
		return err
	}
	exporter, err := otlpmetricgrpc.New(ctx)
	if err != nil {
		return err
	}
	reader := sdkmetric.NewPeriodicReader(toldMetrics{exporter, o},
		sdkmetric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(t.Registry))))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(reader))
	t.stops = append(t.stops, provider.Shutdown)
	return nil
}

// exportLogs hands over what is logged, beside what is written. Of an outage of the
// collector only the written log tells.
func (t *Telemetry) exportLogs(ctx context.Context, settings Settings, o *outage) error {
	about, err := resourceOf(ctx, settings)
	if err != nil {
		return err
	}
	exporter, err := otlploggrpc.New(ctx)
	if err != nil {
		return err
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(toldLogs{exporter, o})))
	t.stops = append(t.stops, provider.Shutdown)
	handed := otelslog.NewHandler(settings.Service, otelslog.WithLoggerProvider(provider))
	t.Logger = slog.New(slog.NewMultiHandler(t.Logger.Handler(), leveled{handed, t.Level}))
	return nil
}

// stop hands over what is still here, of all signals at once: each may take as long
// as ctx lives.
func (t *Telemetry) stop(ctx context.Context) error {
	failures := make([]error, len(t.stops))
	var all sync.WaitGroup
	for i, stop := range t.stops {
		all.Go(func() { failures[i] = stop(ctx) })
	}
	all.Wait()
	return errors.Join(failures...)
}

// outage is told what comes of handing something over, and says when a collector has
// gone, and when it is there again, once each.
type outage struct {
	what     string
	log      *slog.Logger // which is not handed over itself
	failures prometheus.Counter

	mu   sync.Mutex
	gone bool
}

// note takes the outcome of an export. It returns nil: who gets it could only say it
// again. One that was broken off, as the last of the regular ones may be at the end,
// says nothing of the collector.
func (o *outage) note(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil:
		o.failures.Inc()
		if !o.gone {
			o.log.WarnContext(ctx, "the collector does not take "+o.what+": the service goes on without, and says so when it does again", "error", err.Error())
		}
	case o.gone:
		o.log.InfoContext(ctx, "the collector takes "+o.what+" again")
	}
	o.gone = err != nil
	return nil
}

// toldMetrics is an exporter whose failures are told once.
type toldMetrics struct {
	sdkmetric.Exporter
	outage *outage
}

// Export implements sdkmetric.Exporter.
func (e toldMetrics) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
				mendExemplars(h)
			}
		}
	}
	return e.outage.note(ctx, e.Exporter.Export(ctx, metrics))
}

// mendExemplars makes trace ids the sixteen bytes that OTLP asks for: the bridge leaves
// them as the text that Prometheus has (a defect). The data are this export's alone.
func mendExemplars(h metricdata.Histogram[float64]) {
	for _, point := range h.DataPoints {
		for i := range point.Exemplars {
			id, err := trace.TraceIDFromHex(string(point.Exemplars[i].TraceID))
			if err == nil {
				point.Exemplars[i].TraceID = id[:]
			}
		}
	}
}

// toldLogs is an exporter whose failures are told once.
type toldLogs struct {
	sdklog.Exporter
	outage *outage
}

// Export implements sdklog.Exporter.
func (e toldLogs) Export(ctx context.Context, records []sdklog.Record) error {
	return e.outage.note(ctx, e.Exporter.Export(ctx, records))
}

// leveled is a handler that has no level of its own.
type leveled struct {
	slog.Handler
	level slog.Leveler
}

// Enabled implements slog.Handler.
func (h leveled) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
