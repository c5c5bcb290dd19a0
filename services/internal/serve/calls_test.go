package serve_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/telemetry"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00-" + traceID + "-00f067aa0ba902b7-01"
)

func withKey(ctx context.Context, keys ...string) context.Context {
	for _, key := range keys {
		ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
	}
	return ctx
}

// seeing returns an API that says what its handlers' contexts hold.
func seeing(ctxs chan<- context.Context) *api {
	return &api{
		start: func(ctx context.Context, _ *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error) {
			ctxs <- ctx
			return &channelv1.StartContactResponse{}, nil
		},
		get: func(ctx context.Context, _ *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
			ctxs <- ctx
			return &channelv1.GetContactResponse{}, nil
		},
	}
}

func TestACallThatChangesSomethingCarriesAKey(t *testing.T) {
	ctxs := make(chan context.Context, 2)
	s := run(t, seeing(ctxs))
	cases := map[string]struct {
		keys   []string
		reason string // "": accepted
	}{
		"none":                     {nil, "IDEMPOTENCY_KEY_MISSING"},
		"empty":                    {[]string{""}, "IDEMPOTENCY_KEY_MISSING"},
		"a usual one":              {[]string{"4e1c6a2e-9f4e-4b7d-8f0e-3b9f6d2f1c11"}, ""},
		"one character":            {[]string{"~"}, ""},
		"one with a space within":  {[]string{"order 66"}, ""},
		"the longest":              {[]string{strings.Repeat("k", 255)}, ""},
		"one character too long":   {[]string{strings.Repeat("k", 256)}, "IDEMPOTENCY_KEY_INVALID"},
		"two":                      {[]string{"a", "b"}, "IDEMPOTENCY_KEY_INVALID"},
		"one that holds a tab":     {[]string{"a\tb"}, "IDEMPOTENCY_KEY"},
		"one that is not in ASCII": {[]string{"clé"}, "IDEMPOTENCY_KEY"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var headers []string
			for _, key := range tc.keys {
				headers = append(headers, "Idempotency-Key", key)
			}
			rest := s.do("POST", "/v1/contacts", "{}", headers...)
			if tc.reason == "" {
				if rest.code != 200 || serve.IdempotencyKey(<-ctxs) != tc.keys[0] {
					t.Errorf("REST: %d %s", rest.code, rest.body)
				}
			} else {
				p := readProblem(t, rest)
				if rest.code != 400 || !strings.HasPrefix(p.Reason, tc.reason) || len(p.Violations) != 1 || p.Violations[0].Field != "idempotency-key" {
					t.Errorf("REST: %d %+v", rest.code, p)
				}
			}
			if tc.reason == "IDEMPOTENCY_KEY" {
				return // gRPC's own client refuses to send it
			}
			_, err := s.grpc.StartContact(withKey(t.Context(), tc.keys...), &channelv1.StartContactRequest{})
			if tc.reason == "" {
				if err != nil || serve.IdempotencyKey(<-ctxs) != tc.keys[0] {
					t.Errorf("gRPC: %v", err)
				}
				return
			}
			got := readStatus(t, err)
			if got.code != codes.InvalidArgument || got.reason != tc.reason || len(got.violations) != 1 || got.violations[0].Field != "idempotency-key" {
				t.Errorf("gRPC: %+v", got)
			}
		})
	}
}

func TestAReadNeedsNoKey(t *testing.T) {
	ctxs := make(chan context.Context, 1)
	s := run(t, seeing(ctxs))
	if _, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"}); err != nil {
		t.Fatal(err)
	}
	if key := serve.IdempotencyKey(<-ctxs); key != "" {
		t.Errorf("key %q", key)
	}
	for method, want := range map[string]bool{
		"/channel.v1.ChannelService/GetContact": true, "/channel.v1.ChannelService/ListMessages": true,
		"/grpc.health.v1.Health/Check": true, "/channel.v1.ChannelService/StartContact": false,
		"/marketing.v1.MarketingService/RunCampaign": false,
	} {
		if got := serve.IsRead(method); got != want {
			t.Errorf("IsRead(%s) is %t", method, got)
		}
	}
}

func TestATraceThatComesInGoesOnAndIsTold(t *testing.T) {
	ctxs := make(chan context.Context, 1)
	s := run(t, seeing(ctxs))

	rest := s.do("GET", "/v1/contacts/c1", "", "traceparent", parent, "tracestate", "vendor=value")
	traceparent, tracestate := telemetry.Inject(<-ctxs)
	if traceparent != parent || tracestate != "vendor=value" || rest.header.Get("Traceparent") != parent {
		t.Errorf("REST: handler %q %q, caller %q", traceparent, tracestate, rest.header.Get("Traceparent"))
	}

	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", parent, "tracestate", "vendor=value")
	var header metadata.MD
	if _, err := s.grpc.GetContact(ctx, &channelv1.GetContactRequest{ContactId: "c1"}, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	traceparent, tracestate = telemetry.Inject(<-ctxs)
	if traceparent != parent || tracestate != "vendor=value" || strings.Join(header.Get("traceparent"), "") != parent {
		t.Errorf("gRPC: handler %q %q, caller %q", traceparent, tracestate, header.Get("traceparent"))
	}
}

func TestATraceIsMadeWhereNoneComesIn(t *testing.T) {
	ctxs := make(chan context.Context, 1)
	s := run(t, seeing(ctxs))
	for _, incoming := range []string{"", "00-nonsense-01"} {
		rest := s.do("GET", "/v1/contacts/c1", "", "traceparent", incoming)
		told := trace.SpanContextFromContext(telemetry.Extract(t.Context(), rest.header.Get("Traceparent"), ""))
		had := trace.SpanContextFromContext(<-ctxs)
		if !told.IsValid() || told.TraceID() != had.TraceID() {
			t.Errorf("REST %q: the handler had %s, the caller was told %s", incoming, had.TraceID(), told.TraceID())
		}
	}
	var header metadata.MD
	if _, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"}, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	told := trace.SpanContextFromContext(telemetry.Extract(t.Context(), strings.Join(header.Get("traceparent"), ""), ""))
	if had := trace.SpanContextFromContext(<-ctxs); !told.IsValid() || told.TraceID() != had.TraceID() {
		t.Errorf("gRPC: the handler had %s, the caller was told %s", had.TraceID(), told.TraceID())
	}
}

func TestAFailedCallTellsItsTraceToo(t *testing.T) {
	s := run(t, &api{get: func(context.Context, *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		return nil, errors.New("broken")
	}})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", parent)
	var header metadata.MD
	_, err := s.grpc.GetContact(ctx, &channelv1.GetContactRequest{ContactId: "c1"}, grpc.Header(&header))
	if err == nil || strings.Join(header.Get("traceparent"), "") != parent {
		t.Errorf("err %v, header %v", err, header)
	}
	if p := readProblem(t, s.do("GET", "/v1/nothing", "", "traceparent", parent)); p.TraceID != traceID {
		t.Errorf("problem %+v", p)
	}
}

func TestWithTracesInstalledOneCallIsOneTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tel, err := telemetry.Start(t.Context(), telemetry.Settings{Service: "channel", Exporter: spans, Output: &buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, &api{}, func(o *serve.Options) { o.Telemetry = tel })
	rest := s.do("GET", "/v1/contacts/c1", "", "traceparent", parent)
	s.do("GET", "/readyz", "")
	// The caller has the answer before the server has ended its spans.
	eventually(t, "two spans", func() bool { return len(spans.GetSpans()) == 2 })
	names := map[string]tracetest.SpanStub{}
	for _, span := range spans.GetSpans() {
		names[span.Name] = span
		for _, attr := range span.Attributes {
			if strings.Contains(attr.Value.String(), "c1") {
				t.Errorf("span %s gives %s away: %s", span.Name, attr.Key, attr.Value.String())
			}
		}
	}
	metrics := s.do("GET", "/metrics", "", "Accept", "application/openmetrics-text").body
	if !strings.Contains(metrics, `# {trace_id="`+traceID+`"}`) {
		t.Error("no metric leads to the trace")
	}
	outer, inner := names["GET /v1/contacts/{contact_id}"], names["channel.v1.ChannelService/GetContact"]
	if outer.Parent.SpanID().String() != "00f067aa0ba902b7" || inner.Parent.SpanID() != outer.SpanContext.SpanID() || !inner.SpanContext.IsValid() {
		t.Errorf("spans %v", names)
	}
	if inner.SpanContext.TraceID().String() != traceID || !strings.Contains(rest.header.Get("Traceparent"), outer.SpanContext.SpanID().String()) {
		t.Errorf("trace %s, traceparent %s", inner.SpanContext.TraceID(), rest.header.Get("Traceparent"))
	}
}

func TestACallGetsADeadline(t *testing.T) {
	until := &api{get: func(ctx context.Context, _ *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		<-ctx.Done()
		return nil, errors.New("interrupted") // as a database says, naming no deadline
	}}
	s := run(t, until, func(o *serve.Options) { o.CallTimeout = 20 * time.Millisecond })
	if _, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("gRPC: %v", err)
	}
	if rest := s.do("GET", "/v1/contacts/c1", ""); rest.code != 504 || readProblem(t, rest).Reason != "DEADLINE_EXCEEDED" {
		t.Errorf("REST: %d %s", rest.code, rest.body)
	}
}

func TestACallersOwnDeadlineHolds(t *testing.T) {
	ctxs := make(chan context.Context, 1)
	s := run(t, seeing(ctxs), func(o *serve.Options) { o.CallTimeout = time.Second })
	within := func(what string) {
		t.Helper()
		at, ok := (<-ctxs).Deadline()
		if left := time.Until(at); !ok || left < 30*time.Second || left > time.Minute {
			t.Errorf("%s: %s left", what, left)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.grpc.GetContact(ctx, &channelv1.GetContactRequest{ContactId: "c1"}); err != nil {
		t.Fatal(err)
	}
	within("gRPC")
	s.do("GET", "/v1/contacts/c1", "", "Grpc-Timeout", "1M")
	within("REST")
}

func TestARESTCallerWhoGoesAwayEndsTheCall(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	s := run(t, &api{start: func(ctx context.Context, _ *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	}}, func(o *serve.Options) { o.CallTimeout = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := s.try(ctx, "POST", "/v1/contacts", "{}", "Idempotency-Key", "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	wait(t, "the end of the call", left)
}

func TestMetricsTellRateErrorsAndDuration(t *testing.T) {
	s := run(t, &api{})
	s.do("GET", "/v1/contacts/c1", "")
	s.do("POST", "/v1/contacts", "{}") // without a key
	s.do("GET", "/v1/nothing", "")
	if _, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"}); err != nil {
		t.Fatal(err)
	}
	_ = s.conn.Invoke(t.Context(), "/channel.v1.ChannelService/MadeUp", &channelv1.GetContactRequest{}, &channelv1.GetContactResponse{})
	for _, want := range []string{
		`triangle_api_calls_total{code="OK",method="/channel.v1.ChannelService/GetContact"} 2`,
		`triangle_api_calls_total{code="OK",method="/channel.v1.ChannelService/EndContact"} 0`,
		`triangle_api_calls_total{code="InvalidArgument",method="/channel.v1.ChannelService/StartContact"} 1`,
		`triangle_api_call_duration_seconds_count{method="/channel.v1.ChannelService/GetContact"} 2`,
		`triangle_api_calls_running{method="/channel.v1.ChannelService/GetContact"} 0`,
		`triangle_rest_responses_total{code="404",method="get"} 1`,
		`go_goroutines`,
	} {
		eventually(t, want, func() bool { return strings.Contains(s.do("GET", "/metrics", "").body, want) })
	}
	if body := s.do("GET", "/metrics", "").body; strings.Contains(body, "MadeUp") {
		t.Error("a caller made up a series")
	}
}
