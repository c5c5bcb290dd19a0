// Package eventstore is Triangle's embedded event store: one binary, or one
// value in a test, that speaks EventStoreDB's gRPC protocol on a storage
// engine of its own. Services reach it, as they reach a real cluster, through
// EventStoreDB's own Go client, so there is one client path and nothing to
// install. It is a default for one machine, not a competitor of the cluster.
//
//	port ─┬─ HTTP/2 ─▶ server (gRPC handlers) ─▶ storage (one writer, views)
//	      └─ HTTP/1 ─▶ /health/live                 │ decides by
//	                                                └─▶ stream (pure rules)
//
// What it promises: an append is answered when it is on the disk, and no
// reader sees an event before; a reader sees all of an append or nothing; a
// subscription delivers each event once and in order however slow it is read.
//
// With users it lets in who has a user's name and password; there are no
// groups and no access control lists: a user may do everything.
//
// What it does not have: access control by stream, projections, a scavenge
// (events that metadata hides stay on the disk and in $all), persistent
// subscriptions (yet). Regular expressions in filters are RE2's: no
// look-around.
package eventstore
