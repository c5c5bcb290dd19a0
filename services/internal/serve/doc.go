// Package serve is the shell that every service runs in: gRPC on one port,
// REST, probes and metrics on the other, background workers beside them, and
// one orderly end.
//
//	REST ──▶ gate ─ trace ─ body ─ grpc-gateway ──(in memory)──▶ inner gRPC ──┐
//	                                                                          ├▶ trace ─ deadline ─ errors ─ key ─▶ handler
//	gRPC ────────────────────────────────────────────────────▶ public gRPC ──┘
//
// The gateway calls a gRPC server of its own over a connection in memory. Its
// other mode, calling the handlers directly, passes by interceptors, limits and
// deadlines, so that REST would get other answers than gRPC; and dialling the
// public port would tie REST to where that port is bound, and let its stop cut
// off REST calls that are under way.
//
// A handler refuses with a fault (package fault) and passes on every other
// error as it is: what becomes of it is decided once, in edge.go. The text of
// such an error may go to the log, so that it holds ids and never a personal
// value. The end of a process goes like this:
//
//	SIGTERM ─▶ not ready ─▶ calls under way finish ─▶ workers stop ─▶ traces are flushed
//	           (a second signal ends the process at once)
package serve
