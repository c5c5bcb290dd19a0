package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// moody is an OTLP collector that does with an export what it is told to.
type moody struct {
	collectorv1.UnimplementedTraceServiceServer
	mood atomic.Pointer[func(ctx context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error)]
	got  atomic.Int64
}

// Export implements collectorv1.TraceServiceServer.
func (m *moody) Export(ctx context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	n := 0
	for _, resource := range req.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			n += len(scope.GetSpans())
		}
	}
	if mood := m.mood.Load(); mood != nil {
		return (*mood)(ctx, n)
	}
	m.got.Add(int64(n))
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func (m *moody) be(mood func(ctx context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error)) {
	if mood == nil {
		m.mood.Store(nil)
		return
	}
	m.mood.Store(&mood)
}

// serve serves the collector on an address until the test ends.
func (m *moody) serve(t *testing.T, addr string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, m)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// journal is a log that several write to.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// counts returns how often it was said that spans are lost, and that they are not.
func (j *journal) counts() (lost, found int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.buf.String()
	return strings.Count(text, "spans are lost:"), strings.Count(text, "no more spans are lost")
}

// harried is a service whose collector is moody.
type harried struct {
	*telemetry.Telemetry
	t     *testing.T
	log   *journal
	ended int
}

// harry starts telemetry that hands spans over to an address, soon and impatiently.
func harry(t *testing.T, addr string) *harried {
	t.Helper()
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + addr, "OTEL_BSP_SCHEDULE_DELAY": "5", "OTEL_BSP_EXPORT_TIMEOUT": "150",
		"OTEL_BSP_MAX_QUEUE_SIZE": "32", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
	} {
		if os.Getenv(name) == "" { // else the test has one of its own
			t.Setenv(name, value)
		}
	}
	log := &journal{}
	h := &harried{t: t, log: log, Telemetry: start(t, telemetry.Settings{Service: "channel", Output: log})}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = h.Shutdown(ctx) // who does not take spans need not answer now
	})
	return h
}

// work ends so many spans. Nobody waits for a collector: else this would not return.
func (h *harried) work(n int) {
	for range n {
		_, span := h.Tracer("test").Start(context.Background(), "work")
		span.End()
	}
	h.ended += n
}

// total is what the metric says.
func (h *harried) total(result string) (n int) {
	h.t.Helper()
	families, err := h.Registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "triangle_telemetry_spans_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == result {
				n = int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

func (h *harried) await(what string, holds func() bool) {
	h.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); !holds(); <-tick.C {
		if time.Since(begun) > time.Minute {
			h.t.Fatalf("waited in vain: %s; exported %d, failed %d, dropped %d of %d", what, h.total("exported"), h.total("failed"), h.total("dropped"), h.ended)
		}
	}
}

// settle waits until it is known of each span what became of it.
func (h *harried) settle() {
	h.t.Helper()
	h.await("each span is accounted for", func() bool {
		return h.total("exported")+h.total("failed")+h.total("dropped") == h.ended
	})
}

// recover works on, a little at a time, until it is said that no more spans are lost.
func (h *harried) recover(times int) {
	h.t.Helper()
	h.await("it is said that none is lost any more", func() bool {
		h.work(1)
		_, found := h.log.counts()
		return found == times
	})
	h.settle()
}

func (h *harried) wantSaid(lost, found int) {
	h.t.Helper()
	if l, f := h.log.counts(); l != lost || f != found {
		h.t.Errorf("it is said %d times that spans are lost and %d times that none is, want %d and %d", l, f, lost, found)
	}
}

func TestACollectorThatIsDownStopsNobody(t *testing.T) {
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	h := harry(t, addr)
	h.work(20)
	h.settle()
	if n := h.total("failed"); n != 20 {
		t.Errorf("%d spans failed, want 20", n)
	}
	h.wantSaid(1, 0)
	up := &moody{}
	up.serve(t, addr)
	h.recover(1)
	h.wantSaid(1, 1)
	if got := int(up.got.Load()); got != h.total("exported") || got == 0 {
		t.Errorf("the collector got %d spans, and %d count as exported", got, h.total("exported"))
	}
}

func TestAQueueThatIsFullStopsNobody(t *testing.T) {
	collector := &moody{}
	entered, release := make(chan struct{}, 100), make(chan struct{})
	collector.be(func(ctx context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error) {
		entered <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		collector.got.Add(int64(n))
		return &collectorv1.ExportTraceServiceResponse{}, nil
	})
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "60000")
	h := harry(t, collector.serve(t, "127.0.0.1:0"))
	h.work(8)
	<-entered // and waits
	h.work(1000)
	if n := h.total("dropped"); n != 1008-32 {
		t.Errorf("%d spans are dropped, want all but the 32 that there is room for", n)
	}
	h.wantSaid(1, 0)
	close(release)
	h.recover(1)
	h.wantSaid(1, 1)
	if got := int(collector.got.Load()); got != h.total("exported") {
		t.Errorf("the collector got %d spans, and %d count as exported", got, h.total("exported"))
	}
}

func TestACollectorThatSwallowsStopsNobody(t *testing.T) {
	for name, swallow := range map[string]func(ctx context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error){
		"it never answers": func(ctx context.Context, _ int) (*collectorv1.ExportTraceServiceResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"it fails": func(context.Context, int) (*collectorv1.ExportTraceServiceResponse, error) {
			return nil, errors.New("out of order")
		},
		"it refuses all": func(_ context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error) {
			return &collectorv1.ExportTraceServiceResponse{PartialSuccess: &collectorv1.ExportTracePartialSuccess{RejectedSpans: int64(n), ErrorMessage: "no"}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			collector := &moody{}
			collector.be(swallow)
			h := harry(t, collector.serve(t, "127.0.0.1:0"))
			for range 3 {
				h.work(8)
				h.settle()
			}
			if n := h.total("failed"); n != 24 {
				t.Errorf("%d spans failed, want 24", n)
			}
			h.wantSaid(1, 0)
			collector.be(nil)
			h.recover(1)
			collector.be(swallow) // and once more
			h.work(8)
			h.settle()
			h.wantSaid(2, 1)
		})
	}
}

// A collector may be slow without failing: who makes spans faster than it takes them
// loses some, and whatever is not lost arrives.
func TestACollectorThatIsSlowStopsNobody(t *testing.T) {
	collector, turn := &moody{}, make(chan struct{})
	collector.be(func(ctx context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error) {
		select {
		case <-turn: // one export each time that it is told to go on
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		collector.got.Add(int64(n))
		return &collectorv1.ExportTraceServiceResponse{}, nil
	})
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "60000")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	h := harry(t, collector.serve(t, "127.0.0.1:0"))
	for range 20 {
		h.work(20)
		turn <- struct{}{}
	}
	if n := h.total("dropped"); n < 400-32-20*4 {
		t.Errorf("%d spans are dropped of 400, of which there is room for 32 and at most 80 were taken", n)
	}
	h.wantSaid(1, 0)
	close(turn)
	h.recover(1)
	h.wantSaid(1, 1)
	if got := int(collector.got.Load()); got != h.total("exported") || h.total("failed") > 0 {
		t.Errorf("the collector got %d spans; %d count as exported and %d as failed", got, h.total("exported"), h.total("failed"))
	}
}

// Work that goes on while the service ends is nobody's to hand over: it is counted.
func TestASpanThatEndsTooLateIsCounted(t *testing.T) {
	collector, release := &moody{}, make(chan struct{})
	collector.be(func(ctx context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error) {
		<-release
		collector.got.Add(int64(n))
		return &collectorv1.ExportTraceServiceResponse{}, nil
	})
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "60000")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10000")
	h := harry(t, collector.serve(t, "127.0.0.1:0"))
	var late []trace.Span
	for range 1000 {
		_, span := h.Tracer("test").Start(context.Background(), "work")
		late = append(late, span)
	}
	h.work(8)
	ended := make(chan error)
	go func() { ended <- h.Shutdown(context.Background()) }()
	h.await("a span is too late", func() bool {
		late[0].End()
		late = late[1:]
		h.ended++
		return h.total("dropped") > 0
	})
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	h.settle()
	if got := int(collector.got.Load()); got != h.total("exported") || h.total("failed") > 0 {
		t.Errorf("the collector got %d spans; %d count as exported and %d as failed", got, h.total("exported"), h.total("failed"))
	}
	h.wantSaid(1, 0)
}

func TestWhatACollectorRefusesInPartIsCounted(t *testing.T) {
	collector := &moody{}
	collector.be(func(_ context.Context, n int) (*collectorv1.ExportTraceServiceResponse, error) {
		return &collectorv1.ExportTraceServiceResponse{PartialSuccess: &collectorv1.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "one of them is no good"}}, nil
	})
	h := harry(t, collector.serve(t, "127.0.0.1:0"))
	h.work(8)
	h.settle()
	if e, f := h.total("exported"), h.total("failed"); f == 0 || e == 0 || e+f != 8 {
		t.Errorf("%d spans are exported and %d failed, want some of each of 8", e, f)
	}
	h.wantSaid(1, 0)
}

func TestAQueueSizeThatIsNoneStopsTheStart(t *testing.T) {
	for _, size := range []string{"0", "-1", "many"} {
		t.Run(fmt.Sprint("size ", size), func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", size)
			_, err := telemetry.Start(t.Context(), telemetry.Settings{})
			if !errors.Is(err, config.ErrValue) || !strings.Contains(err.Error(), "OTEL_BSP_MAX_QUEUE_SIZE") {
				t.Errorf("err = %v", err)
			}
		})
	}
}
