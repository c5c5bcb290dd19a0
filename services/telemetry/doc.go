// Package telemetry gives a service its eyes: a logger that writes JSON and
// names the trace, traces where somebody asked for them, and a registry of
// metrics.
//
// Traces that are off are not installed: no handler stands in a call's way.
// Trace context travels all the same, as every event's metadata carries it: what
// comes in goes on, and where nothing came in the edge begins a trace.
//
// Logs and spans hold no personal data: ids of traces, methods, codes and
// durations are what they are made of, never a request or an event.
package telemetry
