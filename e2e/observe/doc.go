// Package observe has a real Prometheus and a real Jaeger run beside what a test looks
// at, and asks them what they know:
//
//	metrics ◀── Prometheus ── Query, Answers, Fires, Examples
//	traces  ──▶ Jaeger ────── Trace, Find
//
// They end with the test. TRIANGLE_PROMETHEUS and TRIANGLE_JAEGER name their programs,
// which make test-telemetry and make e2e-full build once.
package observe
