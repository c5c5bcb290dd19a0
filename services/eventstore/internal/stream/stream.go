// Package stream holds the rules of a stream, apart from any storage: whether
// an append is written, was written before or is refused, and which events of
// a stream its metadata leaves visible.
package stream

import (
	"math"
	"strings"
)

// MaxRevision is the revision of the tombstone, the last that a stream can
// have, and the truncation point that marks a stream as softly deleted.
const MaxRevision int64 = math.MaxInt64

// None is the last revision of a stream that has no event.
const None int64 = -1

// Expected is what a writer believes a stream's last revision to be: a
// revision, or one of the constants below.
type Expected int64

// The expectations that name no revision.
const (
	Any      Expected = -2 // whatever is there
	NoStream Expected = -1 // no event
	Exists   Expected = -4 // an event, or metadata at least
)

// State is what is known of a stream without reading its events.
type State struct {
	Last        int64 // revision of the last event, or None
	Tombstoned  bool  // deleted for good
	HasMetadata bool  // its metadata was written at least once
	Limits      Limits
}

// Missing is the state of a stream that was never written to.
var Missing = State{Last: None}

// SoftDeleted tells whether the stream was deleted such that the next write
// brings it back, with the numbering going on.
func (s State) SoftDeleted() bool { return s.Limits.TruncateBefore == MaxRevision }

// Exists tells whether a reader finds the stream, be it empty.
func (s State) Exists() bool { return s.Last > None && !s.SoftDeleted() }

const (
	// All names the log of all streams.
	All = "$all"
	// MetadataType is the type of the events of a metadata stream.
	MetadataType = "$metadata"
	// TombstoneType is the type of the event that ends a stream for good.
	TombstoneType = "$streamDeleted"
	// LinkType is the type of an event that stands for another one.
	LinkType = "$>"

	metadataPrefix = "$$"
)

// MetadataOf names the stream that holds the metadata of stream name.
func MetadataOf(name string) string { return metadataPrefix + name }

// OriginalOf names the stream whose metadata stream is name; ok is false when
// name is no metadata stream.
func OriginalOf(name string) (original string, ok bool) {
	return strings.CutPrefix(name, metadataPrefix)
}

// IsMetadata tells whether name is a metadata stream.
func IsMetadata(name string) bool { return strings.HasPrefix(name, metadataPrefix) }
