package traces

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// reconcileID is how controller-runtime calls a reconcile in all of its log's lines:
// its own of an error, too, which it writes when the span has ended.
const reconcileID = "reconcileID"

// Handler adds to each line of a reconcile's log the trace of the reconcile, if it has
// come to have a span.
func Handler(next slog.Handler) slog.Handler { return handler{Handler: next} }

type handler struct {
	slog.Handler

	reconcile string
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	id := h.reconcile
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == reconcileID {
			id = a.Value.String()
		}
		return id == ""
	})
	if sc := recent.find(id); sc.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, sc) // the next one writes what a context has
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	id := h.reconcile
	for _, a := range attrs {
		if a.Key == reconcileID {
			id = fmt.Sprint(a.Value.Any())
		}
	}
	return handler{h.Handler.WithAttrs(attrs), id}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.reconcile}
}

// kept is for how many reconciles it is remembered: more than go on at once, with
// those that have just ended.
const kept = 256

// recent are the spans of the last reconciles that had one.
var recent = &spans{of: map[string]trace.SpanContext{}}

type spans struct {
	mu    sync.Mutex
	of    map[string]trace.SpanContext
	order [kept]string // a ring
	next  int
}

func (s *spans) note(id string, sc trace.SpanContext) {
	if id == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, s.order[s.next])
	s.order[s.next], s.of[id] = id, sc
	s.next = (s.next + 1) % kept
}

func (s *spans) find(id string) trace.SpanContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[id]
}
