// Package persistent keeps persistent subscriptions: groups of consumers that
// share the events of a stream or of $all, each event going to one of them,
// until it is acknowledged.
//
// A Group is the state of one, a pure value: events, answers and times go in,
// deliveries come out. A runner owns a Group and does its reading and writing;
// Subscriptions keeps the definitions and the runners of them.
//
//	store ──▶ page ──▶ Group ──▶ Consumer ──▶ client
//	  ▲                  │ ▲                    │
//	  │     checkpoint,  │ └── ack, nack ◀──────┘
//	  └─────── parked ◀──┘     time-out, disconnect
//
// An event that was read is in one state at any time:
//
//	                ┌───── nack, time-out, disconnect ─────┐
//	                ▼                                      │
//	buffered ──▶ (retrying) ──▶ in flight to a consumer ───┤
//	                                  │                    │ retried too often, nack
//	                            ack, skip                  ▼
//	                                  ▼                 parking ──▶ parked
//	                               processed
//
// A group reads after its own position whenever it has room and a consumer, so
// that a slow group drops nothing and holds little. Delivery is at least once:
// what was processed after the last checkpoint comes again when the store
// starts again.
package persistent
