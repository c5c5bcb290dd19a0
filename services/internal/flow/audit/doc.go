// Package audit holds what a flow's consumer has done against the log. All but
// Source is pure. It takes nothing from the consumer's own arithmetic. What a chain
// is, which epoch a place belongs to and what an answer's id derives from is
// written here once more, from the contract, so that a fault there is found here.
//
//	the log ──▶ Ledger: events per version, a chain per key ──┐
//	                                                          ├─▶ what differs ──▶ Explain
//	the consumer's rows: a chain per key ─────────────────────┘
//	the log ──▶ Answers: by handler and cause
package audit
