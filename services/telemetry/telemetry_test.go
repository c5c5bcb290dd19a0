package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/telemetry"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func start(t *testing.T, settings telemetry.Settings) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestLogLinesNameServiceAndTrace(t *testing.T) {
	var out bytes.Buffer
	tel := start(t, telemetry.Settings{Service: "channel", Output: &out})
	ctx := telemetry.Extract(t.Context(), parent, "")
	tel.Logger.With("flow", "contacts").InfoContext(ctx, "taken in", "events", 3)

	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"service": "channel", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
		"flow": "contacts", "events": 3.0, "level": "INFO",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if at, ok := line["time"].(string); !ok || !strings.HasSuffix(at, "Z") {
		t.Errorf("time %v is not in UTC", line["time"])
	}
}

func TestTheLevelCanChange(t *testing.T) {
	var out bytes.Buffer
	tel := start(t, telemetry.Settings{Output: &out, Level: slog.LevelWarn})
	tel.Logger.Info("hidden")
	tel.Level.Set(slog.LevelInfo)
	tel.Logger.Info("shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Errorf("logged %s", got)
	}
}

func TestTraceContextSurvivesAnEventsMetadata(t *testing.T) {
	ctx := telemetry.Extract(context.Background(), parent, "vendor=value")
	traceparent, tracestate := telemetry.Inject(ctx)
	if traceparent != parent || tracestate != "vendor=value" {
		t.Errorf("injected %q, %q", traceparent, tracestate)
	}
}

func TestInjectAlwaysGivesAValidTraceparent(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"no trace":          context.Background(),
		"a broken trace":    telemetry.Extract(context.Background(), "00-xyz", ""),
		"an all-zero trace": telemetry.Extract(context.Background(), "00-00000000000000000000000000000000-0000000000000000-01", ""),
	} {
		traceparent, _ := telemetry.Inject(ctx)
		if sc := trace.SpanContextFromContext(telemetry.Extract(context.Background(), traceparent, "")); !sc.IsValid() || sc.IsSampled() {
			t.Errorf("%s: injected %q", name, traceparent)
		}
	}
}

func TestEnsureKeepsATrace(t *testing.T) {
	ctx := telemetry.Extract(context.Background(), parent, "")
	if telemetry.Ensure(ctx) != ctx {
		t.Error("a trace was replaced")
	}
	begun := telemetry.Ensure(context.Background())
	a, _ := telemetry.Inject(begun)
	b, _ := telemetry.Inject(begun)
	if a != b {
		t.Errorf("one context, two traces: %s, %s", a, b)
	}
}

func TestTracesAreInstalledOnlyWhereAskedFor(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing said":            {nil, false},
		"an endpoint":             {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true},
		"an endpoint, for traces": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, true},
		"otlp":                    {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true},
		"console":                 {map[string]string{"OTEL_TRACES_EXPORTER": "console"}, true},
		"none, yet an endpoint":   {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false},
		"disabled":                {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			tel := start(t, telemetry.Settings{Output: &bytes.Buffer{}})
			if _, installed := tel.TracerProvider(); installed != tc.want {
				t.Errorf("installed %t, want %t", installed, tc.want)
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnExporterThatThereIsNotStopsTheStart(t *testing.T) {
	for name, env := range map[string][2]string{
		"exporter":                 {"OTEL_TRACES_EXPORTER", "zipkin"},
		"protocol":                 {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"},
		"an endpoint that is none": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "127.0.0.1:4317"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(env[0], env[1])
			_, err := telemetry.Start(t.Context(), telemetry.Settings{})
			if !errors.Is(err, config.ErrValue) || !strings.Contains(err.Error(), env[0]) || strings.Contains(err.Error(), "\n") {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// A typing error in the sampler would have every trace kept.
func TestASamplerThatThereIsNotStopsTheStart(t *testing.T) {
	for name, tc := range map[string]struct{ sampler, share, wrong string }{
		"a share":              {"parentbased_traceidratio", "0.01", ""},
		"all, without a share": {"traceidratio", "", ""},
		"as the conventions":   {"ParentBased_Always_Off", "of no use", ""},
		"an unknown one":       {"ratio", "0.01", "OTEL_TRACES_SAMPLER is"},
		"per cent":             {"parentbased_traceidratio", "1%", "OTEL_TRACES_SAMPLER_ARG is"},
		"more than all":        {"parentbased_traceidratio", "1.5", "OTEL_TRACES_SAMPLER_ARG is"},
		"less than none":       {"traceidratio", "-0.1", "OTEL_TRACES_SAMPLER_ARG is"},
		"a share that is none": {"traceidratio", "NaN", "OTEL_TRACES_SAMPLER_ARG is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv("OTEL_TRACES_SAMPLER", tc.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", tc.share)
			tel, err := telemetry.Start(t.Context(), telemetry.Settings{Output: &bytes.Buffer{}})
			if tc.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := tel.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, config.ErrValue) || !strings.Contains(err.Error(), tc.wrong) || strings.Contains(err.Error(), "\n") {
				t.Errorf("err = %v, want %s …", err, tc.wrong)
			}
		})
	}
}

func TestSpansContinueTheTraceThatCameIn(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tel := start(t, telemetry.Settings{Service: "channel", Version: "1.2.3", Exporter: spans})
	_, span := tel.Tracer("test").Start(telemetry.Extract(t.Context(), parent, ""), "work")
	span.End()

	got := spans.GetSpans()
	if len(got) != 1 || got[0].Parent.SpanID().String() != "00f067aa0ba902b7" {
		t.Fatalf("spans %+v", got)
	}
	about := got[0].Resource.String()
	if !strings.Contains(about, "service.name=channel") || !strings.Contains(about, "service.version=1.2.3") {
		t.Errorf("resource %s", about)
	}
}

func TestWithoutTracesATracerKeepsTheContext(t *testing.T) {
	tel := start(t, telemetry.Settings{})
	ctx, span := tel.Tracer("test").Start(telemetry.Extract(t.Context(), parent, ""), "work")
	defer span.End()
	if traceparent, _ := telemetry.Inject(ctx); traceparent != parent {
		t.Errorf("injected %q", traceparent)
	}
}

func TestShutdownKeepsItsDeadline(t *testing.T) {
	// A collector that accepts connections and never answers.
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())
	tel := start(t, telemetry.Settings{Output: &bytes.Buffer{}})
	_, span := tel.Tracer("test").Start(t.Context(), "work")
	span.End()

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tel.Shutdown(ctx); err == nil {
		t.Error("spans that nobody took were reported as flushed")
	}
}

// collector is an OTLP collector that keeps the names of spans.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	names chan string
}

func (c collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	for _, resource := range req.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.names <- span.GetName()
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func TestShutdownHandsOverTheLastSpans(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, c := grpc.NewServer(), collector{names: make(chan string, 10)}
	collectorv1.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	tel := start(t, telemetry.Settings{Output: &bytes.Buffer{}})
	_, span := tel.Tracer("test").Start(t.Context(), "the last one")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case name := <-c.names:
		if name != "the last one" {
			t.Errorf("the collector got %q", name)
		}
	default:
		t.Error("the collector got nothing")
	}
}

func TestTheRegistryHoldsTheRuntime(t *testing.T) {
	families, err := start(t, telemetry.Settings{}).Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{"go_goroutines", "process_start_time_seconds", "go_build_info"} {
		if !names[want] {
			t.Errorf("there is no %s", want)
		}
	}
}
