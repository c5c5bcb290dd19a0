// Package eventstore is Triangle's embedded event store: one binary, or one
// value in a test, that speaks EventStoreDB's gRPC protocol on a storage
// engine of its own. Services reach it, as they reach a real cluster, through
// EventStoreDB's own Go client, so there is one client path and nothing to
// install. It is a default for one machine, not a competitor of the cluster.
//
//	port ─┬─ HTTP/2 ─▶ server (gRPC) ─▶ storage (one writer, views) ─┬─▶ journal (the events)
//	      └─ HTTP/1 ─▶ /health/live │  ▲   │ decides by              └─▶ pebble (an index of them)
//	                                ▼  │   └─▶ stream (pure rules)
//	                         persistent (groups of consumers)
//
// What it promises: an append is answered when it is on the disk, and no
// reader sees an event before; a reader sees all of an append or nothing; a
// subscription delivers each event once and in order however slow it is read; a
// persistent subscription delivers each event until a consumer has answered it;
// bytes that are not what was written are found out, located, and never served
// as an event.
//
// With users it lets in who has a user's name and password; there are no
// user groups and no access control lists: a user may do everything.
//
// What it does not have: access control by stream, projections, a scavenge
// while it runs (event-store scavenge works on a store that does not), a
// cluster. Regular expressions in filters are RE2's: no look-around.
package eventstore
