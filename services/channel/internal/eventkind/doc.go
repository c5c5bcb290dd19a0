// Package eventkind keeps the kinds of commercial events, and what an event of
// each looks like: a JSON Schema, in versions.
//
//	Register ─▶ version 1 ─▶ Register, grown ─▶ version 2 ─▶ …
//
// A kind that is registered needs no event type of its own, and no change to a
// flow: all go as channel.CommercialEventRecorded. A version takes all that the
// version before it takes, and always holds what that one always holds, so who
// writes by an old version and who reads by one go on: see grown. The kinds that
// marketing decides by have event types of their own, and are built in: their
// schemas are in the folder builtin.
package eventkind
