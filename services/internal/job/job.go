// Package job names what goroutines work at. The name stands in the context, so
// that what is called on the way knows on whose behalf, and on the goroutine, so
// that a profile tells which flow or worker the time goes to.
package job

import (
	"context"
	"runtime/pprof"
)

const label = "job"

// Named says that the calling goroutine, and those that it starts, work at the
// named job from now on. The context that it returns says so, too.
func Named(ctx context.Context, name string) context.Context {
	ctx = pprof.WithLabels(ctx, pprof.Labels(label, name))
	pprof.SetGoroutineLabels(ctx)
	return ctx
}

// Of returns the job that ctx was named for; empty when it was for none.
func Of(ctx context.Context) string {
	name, _ := pprof.Label(ctx, label)
	return name
}
