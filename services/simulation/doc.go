// Package simulation plays the whole suite under faults: the three services as
// they are, on one event log, each with a database of its own, in virtual time,
// under a scheduler that is seeded. One seed is one run.
//
// Whatever a service awaits (an append, a read, a message of a subscription, a
// transaction, a key, a partner) asks the scheduler, and blocks. When every
// goroutine is blocked, the scheduler lets one of those that wait go on, and may
// break something there:
//
//	services ──▶ await point ──▶ scheduler ──▶ goes on
//	                                 │            ├─ twice, late, in vain, or not at all
//	                                 │            └─ while a flow migrates, a clock steps, …
//	                                 └─ nobody waits: virtual time passes
//
// When the story is over everything is mended, and what has come of it is
// checked against the log alone: see check.go.
package simulation
