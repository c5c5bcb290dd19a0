package tracing

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// The attributes that the semantic conventions have no name for.
const (
	keyFlow       = attribute.Key("triangle.flow")
	keyEpoch      = attribute.Key("triangle.epoch")
	keyCadence    = attribute.Key("triangle.cadence")
	keyEventType  = attribute.Key("triangle.event.type")
	keyCommit     = attribute.Key("triangle.event.position.commit")
	keyPrepare    = attribute.Key("triangle.event.position.prepare")
	keyProjection = attribute.Key("triangle.projection")
	keyVersion    = attribute.Key("triangle.projection.version")
	keyReaction   = attribute.Key("triangle.reaction")
	keyOutcome    = attribute.Key("triangle.outcome")
	keyAttempts   = attribute.Key("triangle.attempts")
	keyBudget     = attribute.Key("triangle.wait.budget_s")
	keyPiece      = attribute.Key("triangle.partner.piece")
	keyMarker     = attribute.Key("triangle.marker.id")
	keyEvents     = attribute.Key("triangle.events")
	keyShadow     = attribute.Key("triangle.shadow")
)

// system is what the conventions call the event store.
var system = semconv.MessagingSystemKey.String("eventstoredb")

// templateOf is the kind of a stream, of which there are few: contact-{id}. What
// follows the first dash is an id, or a flow's or a service's name.
func templateOf(stream string) string {
	kind, _, named := strings.Cut(stream, "-")
	if !named {
		return stream
	}
	return kind + "-{id}"
}

func destination(stream, template string) []attribute.KeyValue {
	all := []attribute.KeyValue{system, semconv.MessagingDestinationName(stream)}
	if template != stream {
		all = append(all, semconv.MessagingDestinationTemplate(template))
	}
	return all
}

// about is which event it is, of which type, and where it stands.
func about(id, eventType string, at eventlog.Position) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingMessageID(id), keyEventType.String(eventType),
		keyCommit.Int64(int64(at.Commit)), keyPrepare.Int64(int64(at.Prepare)), //nolint:gosec // the store's positions are signed
	}
}
