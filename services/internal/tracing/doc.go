// Package tracing begins the spans of what a service does beside answering calls,
// and names them and their attributes: this is the one place that knows how a span
// is called.
//
//	call ─▶ send contact-{id} ─▶ process contact-events ─┬▶ project …
//	 │                                                   ├▶ react … ─▶ send decisions-{id} ─▶ …
//	 └▶ wait next-best-actions ┄┄(link)┄┄▶               └▶ transaction
//
//	window weekly-flow ─┬▶ process weekly-flow ┄┄(128 links)┄┄▶ the events' own spans
//	                    └▶ process weekly-flow ┄┄(…)
//
// In real time the trace goes on from the event: its metadata holds the span of the
// append, which is the parent of the delivery's. A window is a trace of its own, with
// a link to each of its events; what a reaction answers in it goes on in the trace of
// its cause, with a link to the window, so that a window of a million causes is not
// one trace of a million answers, and each contact is sampled as a whole.
//
// Several events that are taken in together in real time have a span each, in their
// own traces: who follows one contact finds it whole, however busy the flow is. When
// there are more of them than a chunk holds, the flow is behind, and what it catches
// up with is told as a window is.
//
// A Tracer that is nil is not installed: each of its methods then returns at once, and
// allocates nothing. Spans hold names, ids of streams, events and flows, positions,
// counts and kinds of errors: never what an event says, and no error's text, which may
// quote it.
package tracing
