package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Metadata is what an event tells about itself. No personal value belongs in it:
// it is written in clear, and stays.
//
// What is marked "by Encode" is derived there; what a caller sets there is
// written over.
type Metadata struct {
	// The CloudEvents attributes.

	SpecVersion     string    `json:"specversion"` // by Encode
	ID              string    `json:"id"`          // by Encode
	Source          string    `json:"source"`      // who wrote it: see Source
	Type            string    `json:"type"`        // by Encode
	Time            time.Time `json:"time"`        // of the command, not of the store
	Subject         string    `json:"subject,omitempty"`
	DataContentType string    `json:"datacontenttype"` // by Encode
	DataSchema      string    `json:"dataschema"`      // by Encode: the message's full name

	// The trace, as W3C writes it and as the store's own tools read it.

	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
	TraceID     string `json:"$traceId,omitempty"` // by Encode
	SpanID      string `json:"$spanId,omitempty"`  // by Encode

	// CorrelationID is shared by all that came of one call, CausationID is the id
	// of the event that this one answers.

	CorrelationID string `json:"$correlationId,omitempty"`
	CausationID   string `json:"$causationId,omitempty"`

	// Origin is the command's own name: the stream's answer to it is found by it.
	// RequestDigest is a keyed digest of the request that a call made.

	Origin        string            `json:"origin,omitempty"`
	RequestDigest string            `json:"requestDigest,omitempty"`
	CausePosition eventlog.Position `json:"causePosition,omitzero"` // of the cause in $all

	// SealedFor is the name of the key that sealed the personal fields.
	SealedFor string `json:"sealedFor,omitempty"` // by Encode
}

// Source is the CloudEvents source of what a service writes.
func Source(service flows.Service) string { return "/triangle/" + string(service) }

const (
	specVersion = "1.0"
	contentType = "application/json"
)

// complete derives what Encode derives.
func (m Metadata) complete(t *Type, id string) (Metadata, error) {
	if m.Source == "" || m.Time.IsZero() {
		return Metadata{}, errors.New("metadata needs source and time: both arrive in the command")
	}
	m.SpecVersion, m.DataContentType = specVersion, contentType
	m.ID, m.Type, m.DataSchema = id, t.Name, string(t.Schema)
	m.Time = m.Time.UTC().Round(0)
	m.TraceID, m.SpanID = splitTraceParent(m.TraceParent)
	m.SealedFor = ""
	return m, nil
}

// splitTraceParent returns the ids of version-trace-span-flags.
func splitTraceParent(header string) (trace, span string) {
	parts := strings.Split(header, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return "", ""
	}
	return parts[1], parts[2]
}

// DecodeMetadata reads an event's metadata. Keys that it does not know stay in
// the raw event; an event without metadata has the zero Metadata.
func DecodeMetadata(raw []byte) (Metadata, error) {
	var m Metadata
	if len(raw) == 0 {
		return m, nil
	}
	if m, ok := scan(raw); ok {
		return m, nil
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return Metadata{}, fmt.Errorf("%w: metadata: %w", ErrMalformed, err)
	}
	return m, nil
}
