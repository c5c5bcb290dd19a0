// Package nba decides the next best actions: which propositions a customer is
// offered, in this contact, now.
//
//	contact event ─▶ tables ─▶ features ─▶ Model.Decide ─▶ NextBestActionsDecided
//	                              │                              │
//	                              └────── recorded, sealed ──────┴─▶ Replay: the same, bit for bit
//
// A decision is a function of its features and of nothing else. The features hold
// all that was looked at, the propositions included, so that a decision can be
// made again when propositions and customers have long changed.
//
// How likely a proposition is to be accepted is learned from what came of it, in
// each situation that a contact may be in; see Learner. The probability with which
// each might have come first is recorded, for who evaluates another policy on the
// decisions that were made.
package nba
