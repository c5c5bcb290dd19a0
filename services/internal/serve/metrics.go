package serve

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/telemetry"
)

// metrics measure each API method: rate, errors, duration. They are taken where
// gRPC ends a call, so that calls which no handler saw, such as those that are
// too large, count as well.
type metrics struct {
	methods  map[string]struct{}
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	running  *prometheus.GaugeVec
	rest     *prometheus.CounterVec
	tally    *Tally
}

func newMetrics(registry prometheus.Registerer, api services, tally *Tally) (*metrics, error) {
	m := &metrics{
		tally:   tally,
		methods: map[string]struct{}{},
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triangle_api_calls_total",
			Help: "API calls that have ended, by method and gRPC code, over REST and gRPC.",
		}, []string{"method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "triangle_api_call_duration_seconds",
			Help:    "How long API calls took, by method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"method"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "triangle_api_calls_running",
			Help: "API calls that are under way, by method.",
		}, []string{"method"}),
		rest: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "triangle_rest_responses_total",
			Help: "REST responses by HTTP method and status, calls that no API method saw among them.",
		}, []string{"method", "code"}),
	}
	for _, one := range api {
		for _, method := range one.desc.Methods {
			m.know("/" + one.desc.ServiceName + "/" + method.MethodName)
		}
	}
	for _, c := range []prometheus.Collector{m.calls, m.duration, m.running, m.rest} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the API's metrics: %w", err)
		}
	}
	return m, nil
}

// know makes the method's series, so that a rate is 0 before the first call and
// not absent.
func (m *metrics) know(method string) {
	m.methods[method] = struct{}{}
	m.calls.WithLabelValues(method, codes.OK.String())
	m.duration.WithLabelValues(method)
	m.running.WithLabelValues(method)
}

type methodOf struct{}

// TagRPC implements stats.Handler. Only known methods are measured: a caller can
// make up names without end.
func (m *metrics) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if _, ok := m.methods[info.FullMethodName]; !ok {
		return ctx
	}
	return context.WithValue(ctx, methodOf{}, info.FullMethodName)
}

// HandleRPC implements stats.Handler.
func (m *metrics) HandleRPC(ctx context.Context, event stats.RPCStats) {
	method, ok := ctx.Value(methodOf{}).(string)
	if !ok {
		return
	}
	switch e := event.(type) {
	case *stats.Begin:
		m.running.WithLabelValues(method).Inc()
	case *stats.End:
		m.running.WithLabelValues(method).Dec()
		code := status.Code(e.Error)
		m.calls.WithLabelValues(method, code.String()).Inc()
		m.tally.count(code)
		telemetry.Observe(ctx, m.duration.WithLabelValues(method), e.EndTime.Sub(e.BeginTime))
	}
}

// TagConn implements stats.Handler.
func (m *metrics) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (m *metrics) HandleConn(context.Context, stats.ConnStats) {}

// count counts the REST responses of next.
func (m *metrics) count(next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerCounter(m.rest, next)
}
