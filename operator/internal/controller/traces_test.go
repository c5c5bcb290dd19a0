package controller_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A look that rolls a service out shows it, with the event that tells of it, and so
// does one that applies something; once all is as it should be, looks show nothing.
func TestARolloutIsShown(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	for _, want := range [][]string{
		{"send rollouts", "roll out channel", "reconcile Triangle"},
		{"patch statefulsets", "reconcile Triangle"},
		{"patch triangles/status", "reconcile Triangle"},
	} {
		if diff := cmp.Diff(want, w.upFrom(want[0])); diff != "" {
			t.Errorf("what is shown (-want +got):\n%s", diff)
		}
	}
	w.await("an end of what is told", func() bool {
		before, shown := w.looks.Load(), len(w.spans.GetSpans())
		w.await("more looks", func() bool { return w.looks.Load() > before+3 })
		return len(w.spans.GetSpans()) == shown
	})
}

// upFrom names the first span of a name, and those that it is a part of.
func (w *world) upFrom(name string) (names []string) {
	all := w.spans.GetSpans()
	i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == name })
	for i >= 0 {
		names = append(names, all[i].Name)
		parent := all[i].Parent.SpanID()
		i = slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.SpanContext.SpanID() == parent })
	}
	return names
}
