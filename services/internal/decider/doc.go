// Package decider runs the pure core of a capability against its streams.
//
//	command ─▶ read the stream ─▶ fold ─▶ decide ─▶ append at the revision that was read ─▶ answer
//	                  ▲                                      │
//	                  └────── somebody else was first, ──────┘
//	                          or nobody knows
//
// The first answer stands. A command comes from somewhere: from a call, or from
// the event that a reaction takes in. That is its Origin, and the events that
// answer it carry it. Before anything is decided, the stream is searched for the
// own answer to this origin; if it is there, it is the answer, and nothing is
// written. The store need not recognise a retry, and is not asked to. A reaction's
// decision to do nothing is an answer, too, and stands as the event
// flow.NothingDecided; whoever folds a stream here does not see it.
//
// An append always expects the revision that the decision was made on. So it
// does no harm that nobody knows whether a lost append took effect, or still
// will: of all the attempts of one origin the stream takes one.
package decider
