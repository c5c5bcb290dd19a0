package decider

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// namespace is that of all derived ids. It never changes: ids derive from it for
// ever.
var namespace = uuid.MustParse("b2a4d0a6-3f0e-5a53-9a5e-0c2a4f1f6d11")

// Origin is where a command comes from. Whatever a command needs besides the
// state comes with it: the time, ids, and the seed of chance.
type Origin struct {
	// Key names the origin for good: call:<hash> or reaction:<handler>:<cause>.
	Key string
	// Digest, of a call, tells its request from another one that came with the
	// same idempotency key.
	Digest string
	// Service is the one that decides.
	Service flows.Service
	// Time is when the command came.
	Time time.Time
	// CorrelationID is shared by all that comes of one call.
	CorrelationID string
	// Handler names the reaction whose answer the command is; empty for a call, and
	// for a Step. Only an answer goes on record when it is to do nothing.
	Handler string
	// CausationID and CausePosition are those of the event that is reacted to.
	CausationID   string
	CausePosition eventlog.Position
	// TraceParent and TraceState are those of the cause. They stand in where the
	// context has no trace.
	TraceParent, TraceState string
}

// CallOrigin is the origin of a call that changes something. The idempotency key
// itself is not kept, as a caller may have made it of an e-mail address.
func CallOrigin(
	ring keyring.Ring, service flows.Service, method, idempotencyKey string, request proto.Message, now time.Time,
) (Origin, error) {
	if idempotencyKey == "" {
		return Origin{}, fault.Invalid(fault.Field("idempotency-key", "is missing: a call that changes something needs one"))
	}
	content, err := codec.Canonical(request)
	if err != nil {
		return Origin{}, fmt.Errorf("digest of the request: %w", err)
	}
	origin := Origin{
		Key:     "call:" + ring.Hash("idempotency-key", idempotencyKey),
		Digest:  ring.Hash("request "+method, string(content)),
		Service: service,
		Time:    now,
	}
	origin.CorrelationID = origin.NewID("correlation").String()
	return origin, nil
}

// CauseOrigin is the origin of a service's reaction to an event. Several
// handlers may answer the same cause, each for itself.
func CauseOrigin(service flows.Service, handler string, cause codec.Event, now time.Time) Origin {
	origin := Origin{
		Key:           "reaction:" + handler + ":" + cause.ID.String(),
		Service:       service,
		Time:          now,
		Handler:       handler,
		CorrelationID: cause.Metadata.CorrelationID,
		CausationID:   cause.ID.String(),
		CausePosition: cause.Position,
		TraceParent:   cause.Metadata.TraceParent,
		TraceState:    cause.Metadata.TraceState,
	}
	if origin.CorrelationID == "" {
		origin.CorrelationID = origin.CausationID
	}
	return origin
}

// Step is the origin of a step on the way to an answer: of what a reaction has to
// see to in other streams before it answers. A step that finds nothing to do
// leaves no record there. The answer does, and may be another one for as long as
// there is none.
func (o Origin) Step() Origin {
	o.Handler = ""
	return o
}

// errNoOrigin is a mistake in a program: without an origin no retry could be told
// from a new command.
var errNoOrigin = errors.New("a command needs an origin: a key, a service and a time")

func (o Origin) check() error {
	if o.Key == "" || o.Service == "" || o.Time.IsZero() {
		return errNoOrigin
	}
	return nil
}

// NewID derives an id for what the command makes, such as NewID("contact"). A
// retry makes the same one.
func (o Origin) NewID(kind string) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte("new|"+kind+"|"+o.Key))
}

// Seed is the seed of a command's chance. A retry has the same luck.
func (o Origin) Seed() uint64 {
	sum := sha256.Sum256([]byte("seed|" + o.Key))
	return binary.BigEndian.Uint64(sum[:])
}

// eventID derives the id of an answer: the ordinal-th event in the stream.
func (o Origin) eventID(stream string, ordinal int) uuid.UUID {
	return uuid.NewSHA1(namespace, fmt.Appendf(nil, "event|%d|%s|%s", ordinal, stream, o.Key))
}

// metadata is what an answer in the stream tells about itself.
func (o Origin) metadata(ctx context.Context, stream string) codec.Metadata {
	md := codec.Metadata{
		Source:        codec.Source(o.Service),
		Time:          o.Time,
		Subject:       stream,
		CorrelationID: o.CorrelationID,
		CausationID:   o.CausationID,
		Origin:        o.Key,
		RequestDigest: o.Digest,
		CausePosition: o.CausePosition,
	}
	md.TraceParent, md.TraceState = o.traceContext(ctx)
	return md
}

// Trace is that of the cause.
func (o Origin) Trace() tracing.Origin {
	return tracing.Origin{TraceParent: o.TraceParent, TraceState: o.TraceState}
}

// traceContext is the trace of ctx, else that of the cause, else one that
// derives from the origin: every event belongs to a trace, traced or not. A cause
// whose trace is broken has none.
func (o Origin) traceContext(ctx context.Context) (parent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		if o.Trace().IsValid() {
			return o.TraceParent, o.TraceState
		}
		id := o.NewID("trace")
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(id), SpanID: trace.SpanID(id[:8]),
		}))
	}
	carried := tracing.OriginOf(ctx)
	return carried.TraceParent, carried.TraceState
}
