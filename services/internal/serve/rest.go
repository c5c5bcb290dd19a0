package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/telemetry"
)

// rest serves the REST API.
type rest struct {
	*server
	routes  routes
	gateway http.Handler
	tracer  trace.Tracer
}

// newHandler returns what is served on the REST port.
func (s *server) newHandler(measured *metrics) (http.Handler, error) {
	paths, err := parseRoutes(s.options.OpenAPI)
	if err != nil {
		return nil, err
	}
	api := &rest{server: s, routes: paths, tracer: s.options.Telemetry.Tracer("triangle/serve")}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newStrictJSON()),
		runtime.WithIncomingHeaderMatcher(forwarded),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMetadata(annotate),
		runtime.WithForwardResponseOption(succeeded),
		runtime.WithErrorHandler(api.failed),
		runtime.WithRoutingErrorHandler(api.notRouted),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
	if err := s.options.Gateway(context.Background(), mux, s.conn); err != nil {
		return nil, fmt.Errorf("connect REST to the API: %w", err)
	}
	api.gateway = mux
	registry := s.options.Telemetry.Registry
	exposed := promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry, EnableOpenMetrics: true})
	fixed := map[string]http.Handler{
		"/healthz":      readOnly(http.HandlerFunc(alive)),
		"/readyz":       readOnly(s.readiness),
		"/metrics":      readOnly(exposed),
		"/loglevel":     s.options.Telemetry.LogLevel(refuse),
		"/openapi.json": readOnly(http.HandlerFunc(api.describe)),
	}
	calls := measured.count(api.traced(api.gated(api.bounded(http.HandlerFunc(api.call)))))
	// Not http.ServeMux: it redirects paths that have an empty segment, and so
	// would turn a call with an empty id into a call of something else.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := fixed[r.URL.Path]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		calls.ServeHTTP(w, r)
	}), nil
}

// forwarded lets no header pass to the handlers but those that they know.
func forwarded(header string) (string, bool) {
	return keyHeader, http.CanonicalHeaderKey(header) == http.CanonicalHeaderKey(keyHeader)
}

// annotate passes the trace on to the gRPC call, and names the span for the
// route: the path itself may hold a customer's number.
func annotate(ctx context.Context, r *http.Request) metadata.MD {
	if pattern, ok := runtime.HTTPPathPattern(ctx); ok {
		span := trace.SpanFromContext(ctx)
		span.SetName(r.Method + " " + pattern)
		span.SetAttributes(attribute.String("http.route", pattern))
	}
	traceparent, tracestate := telemetry.Inject(ctx)
	md := metadata.Pairs("traceparent", traceparent)
	if tracestate != "" {
		md.Set("tracestate", tracestate)
	}
	return md
}

// succeeded completes the span of a call whose answer is about to be written.
func succeeded(ctx context.Context, _ http.ResponseWriter, _ proto.Message) error {
	trace.SpanFromContext(ctx).SetAttributes(attribute.Int("http.response.status_code", http.StatusOK))
	return nil
}

// traced gives the request its trace, tells the caller which one it is, and
// turns a panic into an answer.
//
// The span is our own and not otelhttp's, which records the path and the
// caller's address: both can be personal data.
func (a *rest) traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := telemetry.Propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := a.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", r.Method)))
		defer span.End()
		ctx = telemetry.Ensure(ctx)
		traceparent, _ := telemetry.Inject(ctx)
		w.Header().Set("Traceparent", traceparent)
		r = r.WithContext(ctx)
		_, err := recovered(func() (any, error) {
			next.ServeHTTP(w, r)
			return nil, nil
		})
		if err != nil {
			a.broken(w, r, err)
		}
	})
}

// broken answers what went wrong before the call reached gRPC, or after.
func (a *rest) broken(w http.ResponseWriter, r *http.Request, err error) {
	failure := edge{log: a.log, translate: a.options.Translate}.answer(r.Context(), "REST", err)
	problemOf(failure).write(w, r)
}

// gated counts the call as under way, or refuses it once the service stops.
func (a *rest) gated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.gate.enter() {
			w.Header().Set("Connection", "close")
			problem{Status: http.StatusServiceUnavailable, Reason: "STOPPING", Detail: "the service is stopping; repeat the call with its idempotency key"}.write(w, r)
			return
		}
		defer a.gate.leave()
		next.ServeHTTP(w, r)
	})
}

// bounded reads the body, up to the limit and in time, before anything is done
// with it. Once it is read, a caller who goes away is noticed, and ends the call.
func (a *rest) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.SetReadDeadline(time.Now().Add(a.options.CallTimeout)); err != nil {
			a.broken(w, r, fmt.Errorf("limit the time for the body: %w", err))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(a.options.BodyLimit)))
		if err != nil {
			a.unread(err).write(w, r)
			return
		}
		if err := control.SetReadDeadline(time.Time{}); err != nil {
			return // the connection is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func (a *rest) unread(err error) problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem{Status: http.StatusRequestEntityTooLarge, Reason: "TOO_LARGE", Detail: fmt.Sprintf("the body is larger than %d bytes", a.options.BodyLimit)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem{Status: http.StatusRequestTimeout, Reason: "BODY_TOO_SLOW", Detail: fmt.Sprintf("the body did not come within %s", a.options.CallTimeout)}
	}
	return problem{Status: http.StatusBadRequest, Reason: "INVALID_ARGUMENT", Detail: "the body did not come to its end"}
}

// call passes the request to the gateway.
func (a *rest) call(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		// The server itself leaves the body out of the answer.
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	if unknown := a.routes.unknownParameters(r.Method, r.URL.Path, r.URL.Query()); len(unknown) > 0 {
		p := problem{Status: http.StatusBadRequest, Reason: "INVALID_ARGUMENT", Detail: fmt.Sprintf("the request has no parameter %q", unknown[0])}
		for _, name := range unknown {
			p.Violations = append(p.Violations, violation{name, "is no parameter of the request"})
		}
		p.write(w, r)
		return
	}
	a.gateway.ServeHTTP(w, r)
}

// failed answers a call that has failed. It has the signature that the gateway
// asks for.
func (a *rest) failed(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	problemOf(err, func(p *problem) { a.routes.nameValues(p, r.Method, r.URL.Path) }).write(w, r)
}

// notRouted answers what is no call of the API.
func (a *rest) notRouted(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	p := problem{Status: code, Reason: "INVALID_ARGUMENT", Detail: "the path can't be read"}
	switch code {
	case http.StatusNotFound:
		p.Reason, p.Detail = "UNKNOWN_PATH", "there is nothing at this path; /openapi.json lists the paths"
	case http.StatusMethodNotAllowed:
		allowed := a.routes.allow(r.URL.Path)
		w.Header().Set("Allow", allowed)
		p.Reason, p.Detail = "METHOD_NOT_ALLOWED", fmt.Sprintf("this path takes %s, not %s", allowed, r.Method)
	}
	p.write(w, r)
}

// describe answers /openapi.json.
func (a *rest) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.options.OpenAPI) // as in writeJSON
}

// readOnly refuses what is neither GET nor HEAD.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem{Status: http.StatusMethodNotAllowed, Reason: "METHOD_NOT_ALLOWED", Detail: "this path takes GET, HEAD, not " + r.Method}.write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
