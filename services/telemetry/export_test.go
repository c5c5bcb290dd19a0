package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// otlp is a collector of metrics and logs, which may refuse to take them.
type otlp struct {
	collectormetrics.UnimplementedMetricsServiceServer

	mu      sync.Mutex
	away    bool
	asked   int
	metrics map[string]*metricsv1.Metric
	records []*logsv1.LogRecord
	service string
}

type otlpLogs struct {
	collectorlogs.UnimplementedLogsServiceServer
	*otlp
}

func (c *otlp) refuses() error {
	c.asked++
	if c.away {
		return status.Error(codes.InvalidArgument, "not now") // which is not retried
	}
	return nil
}

func (c *otlp) Export(_ context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refuses(); err != nil {
		return nil, err
	}
	for _, resource := range r.GetResourceMetrics() {
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				c.metrics[m.GetName()] = m
			}
		}
	}
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func (c otlpLogs) Export(_ context.Context, r *collectorlogs.ExportLogsServiceRequest) (*collectorlogs.ExportLogsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refuses(); err != nil {
		return nil, err
	}
	for _, resource := range r.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			c.records = append(c.records, scope.GetLogRecords()...)
		}
	}
	return &collectorlogs.ExportLogsServiceResponse{}, nil
}

// collect starts a collector, and has the environment name it.
func collect(t *testing.T) *otlp {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, c := grpc.NewServer(), &otlp{metrics: map[string]*metricsv1.Metric{}}
	collectormetrics.RegisterMetricsServiceServer(server, c)
	collectorlogs.RegisterLogsServiceServer(server, otlpLogs{otlp: c})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	return c
}

// await waits until a collector has what is looked for.
func (c *otlp) await(t *testing.T, what string, has func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c.mu.Lock()
		there := has()
		c.mu.Unlock()
		if there {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestMetricsGoToTheCollectorThatIsAskedFor(t *testing.T) {
	c := collect(t)
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
	tel := start(t, telemetry.Settings{Service: "channel", Output: &bytes.Buffer{}})
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "delivered_seconds", Help: "h", Buckets: []float64{1, 10}}, []string{"flow"})
	tel.Registry.MustRegister(h)
	telemetry.ObserveTraced(parent, h.WithLabelValues("contacts"), 5*time.Second)

	c.await(t, "the histogram", func() bool { return c.metrics["delivered_seconds"] != nil && c.metrics["go_goroutines"] != nil })
	c.mu.Lock()
	point := c.metrics["delivered_seconds"].GetHistogram().GetDataPoints()[0]
	c.mu.Unlock()
	if point.GetCount() != 1 || point.GetSum() != 5 || point.GetBucketCounts()[1] != 1 || c.service != "channel" {
		t.Errorf("the collector of %s got %v", c.service, point)
	}
	if e := point.GetExemplars(); len(e) != 1 || !bytes.HasPrefix(e[0].GetTraceId(), []byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3}) {
		t.Errorf("exemplars %v", e)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLogsGoToTheCollectorThatIsAskedFor(t *testing.T) {
	c := collect(t)
	t.Setenv("OTEL_LOGS_EXPORTER", "otlp")
	var out bytes.Buffer
	tel := start(t, telemetry.Settings{Service: "channel", Output: &out, Level: slog.LevelInfo})
	ctx := telemetry.Extract(t.Context(), parent, "")
	tel.Logger.With("flow", "contacts").DebugContext(ctx, "hidden")
	tel.Logger.With("flow", "contacts").WarnContext(ctx, "taken in", "events", 3)
	tel.Level.Set(slog.LevelDebug)
	tel.Logger.Debug("shown")
	if err := tel.Shutdown(t.Context()); err != nil { // which hands the last ones over
		t.Fatal(err)
	}
	if len(c.records) != 2 || strings.Count(out.String(), "\n") != 2 {
		t.Fatalf("the collector got %v, written is %s", c.records, &out)
	}
	first := c.records[0]
	if first.GetBody().GetStringValue() != "taken in" || first.GetSeverityText() != "WARN" || !bytes.HasPrefix(first.GetTraceId(), []byte{0x4b, 0xf9}) {
		t.Errorf("the collector got %v", first)
	}
	has := map[string]string{}
	for _, a := range first.GetAttributes() {
		has[a.GetKey()] = a.GetValue().String()
	}
	if !strings.Contains(has["flow"], "contacts") || !strings.Contains(has["events"], "3") || has["trace_id"] != "" {
		t.Errorf("attributes %v", has)
	}
}

// tail is written by several goroutines.
type tail struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

func TestACollectorThatIsAwayIsToldOfOnce(t *testing.T) {
	c := collect(t)
	c.away = true
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_LOGS_EXPORTER", "otlp")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "10")
	t.Setenv("OTEL_BLRP_SCHEDULE_DELAY", "10")
	var out tail
	tel := start(t, telemetry.Settings{Service: "channel", Output: &out})
	tel.Logger.Info("something")
	for _, what := range []string{"metrics", "logs"} {
		c.await(t, "word of the outage", func() bool { return strings.Contains(out.String(), "does not take "+what) })
	}
	asked := 0
	c.await(t, "further tries", func() bool { asked++; return asked > 1 && c.asked > 10 })
	c.mu.Lock()
	c.away = false
	c.mu.Unlock()
	tel.Logger.Info("something else")
	for _, what := range []string{"metrics", "logs"} {
		c.await(t, "word of its end", func() bool { return strings.Contains(out.String(), "takes "+what+" again") })
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"does not take metrics", "takes metrics again", "does not take logs", "takes logs again"} {
		if n := strings.Count(out.String(), what); n != 1 {
			t.Errorf("it is said %d times that the collector %s", n, what)
		}
	}
	if len(c.records) != 1 {
		t.Errorf("the collector was told of its own outage: %v", c.records)
	}
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "triangle_telemetry_export_failures_total" && f.GetMetric()[0].GetCounter().GetValue() < 1 {
			t.Errorf("the failures are not counted: %v", f)
		}
	}
}

func TestNobodyWaitsForACollector(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	t.Setenv("OTEL_LOGS_EXPORTER", "otlp")
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	var out tail
	tel := start(t, telemetry.Settings{Service: "channel", Output: &out})
	began := time.Now()
	for range 10_000 { // more than the queue holds
		tel.Logger.Info("something")
	}
	if took := time.Since(began); took > 5*time.Second || strings.Count(out.String(), "\n") != 10_000 {
		t.Errorf("%d lines took %s", strings.Count(out.String(), "\n"), took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began = time.Now()
	_ = tel.Shutdown(ctx)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %s", took)
	}
}

func TestMetricsAndLogsAreHandedOverOnlyWhereAskedFor(t *testing.T) {
	c := collect(t) // an endpoint alone asks for nothing
	for name, env := range map[string]map[string]string{
		"nothing said": {},
		"none":         {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
		"disabled":     {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range env {
				t.Setenv(k, v)
			}
			tel := start(t, telemetry.Settings{Service: "channel", Output: &bytes.Buffer{}})
			tel.Logger.Error("something")
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if c.asked > 0 {
				t.Errorf("the collector was called")
			}
		})
	}
}

func TestAnExporterOfMetricsOrLogsThatThereIsNotStopsTheStart(t *testing.T) {
	for name, env := range map[string][]string{
		"metrics":           {"OTEL_METRICS_EXPORTER", "statsd"},
		"logs":              {"OTEL_LOGS_EXPORTER", "file"},
		"protocol":          {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "OTEL_METRICS_EXPORTER", "otlp"},
		"a signal's own":    {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json", "OTEL_LOGS_EXPORTER", "otlp"},
		"no endpoint":       {"OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4317", "OTEL_TRACES_EXPORTER", "none", "OTEL_METRICS_EXPORTER", "otlp"},
		"service attribute": {"OTEL_RESOURCE_ATTRIBUTES", "no pair", "OTEL_LOGS_EXPORTER", "otlp"},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(env); i += 2 {
				t.Setenv(env[i], env[i+1])
			}
			_, err := telemetry.Start(t.Context(), telemetry.Settings{})
			if !errors.Is(err, config.ErrValue) || !strings.Contains(err.Error(), env[0]) || strings.Contains(err.Error(), "\n") {
				t.Errorf("err = %v", err)
			}
		})
	}
}
