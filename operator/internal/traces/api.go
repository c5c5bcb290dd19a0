package traces

import (
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/rest"

	"github.com/triangle-suite/triangle/operator/internal/writes"
)

// Watch returns the same cluster for a client whose writes within a reconcile are
// shown.
func Watch(cluster *rest.Config) *rest.Config {
	watched := rest.CopyConfig(cluster)
	watched.Wrap(func(next http.RoundTripper) http.RoundTripper { return writing{next} })
	return watched
}

type writing struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w writing) RoundTrip(r *http.Request) (*http.Response, error) {
	verb, ok := writes.Verb(r.Method)
	if !ok {
		return w.next.RoundTrip(r)
	}
	ctx, end := Begin(r.Context(), verb+" "+writes.Resource(r.URL.Path), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", r.Method)))
	answer, err := w.next.RoundTrip(r.WithContext(ctx))
	trace.SpanFromContext(ctx).SetAttributes(statusOf(answer)...)
	end(failure(answer, err))
	return answer, err
}

func statusOf(answer *http.Response) []attribute.KeyValue {
	if answer == nil {
		return nil
	}
	return []attribute.KeyValue{attribute.Int("http.response.status_code", answer.StatusCode)}
}

func failure(answer *http.Response, err error) error {
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the API server answered with %s", answer.Status)
	}
	return err
}
