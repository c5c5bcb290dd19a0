package traces_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/services/telemetry"
)

var request = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "facts"}}

// reconciled runs one reconcile that does what do does, and returns the names of its
// spans, each below the one that it is a part of.
func reconciled(t *testing.T, do func(context.Context) error) []string {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	r := traces.Of(provider, "InformationFlow", reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		return reconcile.Result{}, do(ctx)
	}))
	_, _ = r.Reconcile(t.Context(), request) // what it fails with is in the spans
	return outline(spans.GetSpans(), trace.SpanID{}, "")
}

func outline(all tracetest.SpanStubs, parent trace.SpanID, indent string) (names []string) {
	for _, s := range all {
		if s.Parent.SpanID() == parent {
			line := indent + s.Name
			if s.Status.Description != "" {
				line += ": " + s.Status.Description
			}
			names = append(append(names, line), outline(all, s.SpanContext.SpanID(), indent+"  ")...)
		}
	}
	return names
}

func TestSpansOfReconciles(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "refused") {
			w.WriteHeader(http.StatusConflict)
		}
	}))
	defer server.Close()
	cluster, err := rest.HTTPClientFor(traces.Watch(&rest.Config{Host: server.URL}))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, method, path string) error {
		r, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader("{}"))
		if err != nil {
			return err
		}
		answer, err := cluster.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return errors.Join(err, answer.Body.Close())
	}
	tests := map[string]struct {
		do   func(context.Context) error
		want []string
	}{
		"nothing is done": {func(context.Context) error { return nil }, nil},
		"only read": {func(ctx context.Context) error {
			return ask(ctx, http.MethodGet, "/apis/triangle.dev/v1alpha1/namespaces/shop/triangles/a")
		}, nil},
		"it fails": {func(context.Context) error { return errors.New("no store") }, []string{"reconcile InformationFlow: no store"}},
		"two things, one after the other": {func(ctx context.Context) error {
			_, end := traces.Begin(ctx, "judge a gate")
			end(nil)
			_, end = traces.Begin(ctx, "request a cadence")
			end(errors.New("deposed"))
			return nil
		}, []string{"reconcile InformationFlow", "  judge a gate", "  request a cadence: deposed"}},
		"one thing within another": {func(ctx context.Context) error {
			ctx, end := traces.Begin(ctx, "roll out sales")
			defer end(nil)
			return ask(ctx, http.MethodPatch, "/apis/triangle.dev/v1alpha1/namespaces/shop/triangles/a/status")
		}, []string{"reconcile InformationFlow", "  roll out sales", "    patch triangles/status"}},
		"a write that is refused": {func(ctx context.Context) error {
			return ask(ctx, http.MethodPost, "/api/v1/namespaces/shop/refused")
		}, []string{"reconcile InformationFlow", "  create refused: the API server answered with 409 Conflict"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, reconciled(t, tc.do)); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingIsInstalledWithoutTraces(t *testing.T) {
	var seen context.Context
	r := traces.Of(nil, "Triangle", reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		seen, _ = traces.Begin(ctx, "roll out sales")
		return reconcile.Result{}, nil
	}))
	ctx := t.Context()
	if _, err := r.Reconcile(ctx, request); err != nil || seen != ctx {
		t.Errorf("without traces something stands in the way (%v)", err)
	}
	traces.BeginStep(ctx, "contacts", "daily", 2).Reached(nil)
}

// A step that was begun in a trace ends in it; one that nobody knows the trace of
// is not shown.
func TestAStepIsShownInTheTraceThatBeganIt(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	ctx, asked := provider.Tracer("test").Start(t.Context(), "request a cadence")
	step := traces.BeginStep(ctx, "contacts", "daily", 2)
	asked.End()
	step.Reached(provider)
	traces.BeginStep(t.Context(), "contacts", "daily", 3).Reached(provider)
	if diff := cmp.Diff([]string{"request a cadence", "  step daily"}, outline(spans.GetSpans(), trace.SpanID{}, "")); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// lines are what a logger writes, one at a time.
type lines struct{ all chan string }

// Write implements io.Writer.
func (l lines) Write(line []byte) (int, error) {
	l.all <- string(line)
	return len(line), nil
}

// Each line of a reconcile's log, the one that controller-runtime itself writes when
// it has failed included, has the trace of the reconcile once there is one.
func TestLinesNameTheTraceOfTheReconcile(t *testing.T) {
	out := lines{make(chan string, 100)}
	tel, err := telemetry.Start(t.Context(), telemetry.Settings{Service: "triangle-operator", Output: out, Exporter: tracetest.NewInMemoryExporter()})
	if err != nil {
		t.Fatal(err)
	}
	provider, _ := tel.TracerProvider()
	logger := logr.FromSlogHandler(traces.Handler(tel.Logger.Handler()))
	ctx, end := context.WithCancel(t.Context())
	defer end()
	done := make(chan trace.SpanContext, 100)
	c, err := controller.NewUnmanaged("triangle", controller.Options{
		SkipNameValidation: new(true), LogConstructor: func(*reconcile.Request) logr.Logger { return logger },
		Reconciler: traces.Of(provider, "Triangle", reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
			log.FromContext(ctx).Info("before anything is done")
			within, end := traces.Begin(ctx, "roll out sales")
			end(nil)
			done <- trace.SpanContextFromContext(within)
			return reconcile.Result{}, reconcile.TerminalError(errors.New("no store"))
		})),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(request)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	wanted := (<-done).TraceID().String()
	if line := out.with(t, "before anything is done"); line["trace_id"] != nil {
		t.Errorf("a line before anything is done has a trace: %v", line)
	}
	line := out.with(t, "Reconciler error")
	if at, _ := line["time"].(string); line["trace_id"] != wanted || line["service"] != "triangle-operator" || !strings.HasSuffix(at, "Z") {
		t.Errorf("the line %v is not as those of the services, with the trace %s", line, wanted)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// with is the next line that says something.
func (l lines) with(t *testing.T, message string) (line map[string]any) {
	t.Helper()
	for {
		line = nil
		if err := json.Unmarshal([]byte(<-l.all), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == message {
			return line
		}
	}
}
