// Package codec is the one encoder and decoder of events. Whatever is written to
// the event store, or read from it, passes through here.
//
//	message ── seal personal fields ── JSON ──▶ event ── JSON ── open ──▶ message
//
// What was ever written must decode for ever. So the form of an event is pinned
// by golden files, one for each event type and version, and the form of a sealed
// field by its version (sealed:v1:…).
//
// Encoding is a pure function of the message, the event's id, the metadata and
// the keys: the same input gives the same bytes, sealed fields included.
package codec
