package tracing

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Origin is the trace that an event's metadata carries, as W3C writes it.
type Origin struct{ TraceParent, TraceState string }

// OriginOf returns the trace of ctx; the zero Origin where there is none.
func OriginOf(ctx context.Context) Origin {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return Origin{}
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return Origin{carrier.Get("traceparent"), carrier.Get("tracestate")}
}

// The form of a traceparent: version-trace-span-flags, of which later versions may
// have more.
const (
	traceAt, spanAt, flagsAt = 3, 36, 53
	headerBytes              = 55
)

// SpanContext reads the trace; what is broken is none, as W3C has it. It allocates
// nothing, unless there is a trace state.
func (o Origin) SpanContext() trace.SpanContext {
	h := o.TraceParent
	if len(h) < headerBytes || h[traceAt-1] != '-' || h[spanAt-1] != '-' || h[flagsAt-1] != '-' {
		return trace.SpanContext{}
	}
	version, known := readByte(h)
	if !known || version == 0xff || version == 0 && len(h) != headerBytes || len(h) > headerBytes && h[headerBytes] != '-' {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(h[traceAt : spanAt-1])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(h[spanAt : flagsAt-1])
	flags, ok := readByte(h[flagsAt:])
	if err != nil || !ok || version == 0 && flags > 0x03 {
		return trace.SpanContext{}
	}
	state, _ := trace.ParseTraceState(o.TraceState) // one that is broken is left out
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags) & (trace.FlagsSampled | trace.FlagsRandom), TraceState: state, Remote: true,
	})
}

// readByte reads two hex digits in lower case.
func readByte(h string) (byte, bool) {
	if h[0] >= 'A' && h[0] <= 'F' || h[1] >= 'A' && h[1] <= 'F' {
		return 0, false
	}
	var one [1]byte
	_, err := hex.Decode(one[:], []byte(h[:2]))
	return one[0], err == nil
}

// IsValid tells whether there is a trace to go on with.
func (o Origin) IsValid() bool { return o.SpanContext().IsValid() }

// in returns ctx in the trace; where that is broken or missing, in none.
func (o Origin) in(ctx context.Context) context.Context {
	return trace.ContextWithRemoteSpanContext(ctx, o.SpanContext())
}
