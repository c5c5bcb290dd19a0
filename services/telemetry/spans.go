package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/internal/config"
)

// What becomes of a span, in triangle_telemetry_spans_total.
const (
	exported = "exported" // a collector has it
	failed   = "failed"   // it was handed over, and nobody took it
	dropped  = "dropped"  // too many waited already, or it came too late
)

// spans hands spans over to a collector, and knows what becomes of each: no span is
// waited for, so that one that nobody takes is lost, and counted, and said once.
//
//	OnEnd ─▶ room? ─▶ batch processor ─▶ ExportSpans ─▶ collector ─▶ exported
//	           └▶ dropped                     └───────────┴▶ failed
//
// There is room for as many as the batch processor's own queue holds: so that one
// never drops a span without a word.
type spans struct {
	sdktrace.SpanProcessor // the batch processor

	exporter sdktrace.SpanExporter
	log      *slog.Logger
	counts   map[string]prometheus.Counter
	room     int64
	waiting  atomic.Int64
	over     atomic.Bool

	mu   sync.Mutex
	lost int // since they began to be lost; 0: they are not
}

// newSpans counts in a registry, and says in a log what is lost.
func newSpans(exporter sdktrace.SpanExporter, registry prometheus.Registerer, log *slog.Logger) (*spans, error) {
	room, err := queueSize()
	if err != nil {
		return nil, err
	}
	total, err := counters(registry, "triangle_telemetry_spans_total",
		"Spans that were sampled, by what became of them: exported, failed (no collector took them) or dropped (too many waited).", "result")
	if err != nil {
		return nil, err
	}
	s := &spans{exporter: exporter, log: log, room: int64(room), counts: map[string]prometheus.Counter{}}
	for _, result := range []string{exported, failed, dropped} {
		s.counts[result] = total.WithLabelValues(result)
	}
	s.SpanProcessor = sdktrace.NewBatchSpanProcessor(counting{s}, sdktrace.WithMaxQueueSize(room))
	return s, nil
}

// counters are those of a name in a registry, which another Telemetry of the process
// may have had before.
func counters(registry prometheus.Registerer, name, help, label string) (*prometheus.CounterVec, error) {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	err := registry.Register(all)
	if before, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if there, ok := before.ExistingCollector.(*prometheus.CounterVec); ok {
			return there, nil
		}
	}
	return all, err
}

// queueSize is how many spans may wait.
func queueSize() (int, error) {
	const name = "OTEL_BSP_MAX_QUEUE_SIZE"
	value := os.Getenv(name)
	if value == "" {
		return sdktrace.DefaultMaxQueueSize, nil
	}
	size, err := strconv.Atoi(value)
	if err != nil || size < 1 {
		return 0, config.Wrong("%s is %q: write how many spans may wait, at least 1", name, value)
	}
	return size, nil
}

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (s *spans) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	switch {
	case s.over.Load():
		s.lose(dropped, 1, "the service ends")
	case s.waiting.Add(1) > s.room:
		s.waiting.Add(-1)
		s.lose(dropped, 1, "too many spans wait to be handed over")
	default:
		s.SpanProcessor.OnEnd(span)
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (s *spans) Shutdown(ctx context.Context) error {
	s.over.Store(true)
	return s.SpanProcessor.Shutdown(ctx)
}

// lose counts spans that nobody will see, and says so when it begins.
func (s *spans) lose(result string, n int, why string) {
	s.counts[result].Add(float64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == 0 {
		s.log.Warn("spans are lost: the service goes on without, and says so when none is lost any more", "result", result, "reason", why)
	}
	s.lost += n
}

// took counts spans that a collector took. They are not lost any more when so few wait
// that the next ones find room, unless the service ends: then there is none for them.
func (s *spans) took(n int) {
	s.counts[exported].Add(float64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost > 0 && s.waiting.Load() <= s.room/2 && !s.over.Load() {
		s.log.Info("no more spans are lost", "lost", s.lost)
		s.lost = 0
	}
}

// counting is the exporter, as the batch processor sees it.
type counting struct{ *spans }

// ExportSpans implements sdktrace.SpanExporter. It returns nil: what fails is told
// here, and whoever got it could only say it again.
func (c counting) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	refused := &refusal{}
	err := c.exporter.ExportSpans(context.WithValue(ctx, refusalKey{}, refused), batch)
	c.waiting.Add(-int64(len(batch)))
	switch {
	case err != nil:
		c.lose(failed, len(batch), err.Error())
	case refused.spans > 0:
		c.counts[exported].Add(float64(len(batch) - refused.spans))
		c.lose(failed, refused.spans, "the collector refused them: "+refused.why)
	default:
		c.took(len(batch))
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (c counting) Shutdown(ctx context.Context) error { return c.exporter.Shutdown(ctx) }

// refusal is what a collector says of an export that it took in part.
type refusal struct {
	spans int
	why   string
}

type refusalKey struct{}

// noteRefusal reads what a collector refuses: the exporter would tell it as an error
// of the whole export.
func noteRefusal(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	answer, ok := reply.(*collectorv1.ExportTraceServiceResponse)
	refused, noting := ctx.Value(refusalKey{}).(*refusal)
	if err == nil && ok && noting {
		partial := answer.GetPartialSuccess()
		refused.spans, refused.why = int(partial.GetRejectedSpans()), partial.GetErrorMessage()
		answer.PartialSuccess = nil
	}
	return err
}
