package decider

import (
	"context"
	"fmt"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// WouldAppend is the error of a dry command that has come to an append.
type WouldAppend struct {
	// Stream is where it would append.
	Stream string
}

// Error implements error.
func (w *WouldAppend) Error() string { return fmt.Sprintf("it would append to %s", w.Stream) }

// dry is what a dry context carries.
type dry struct{ until eventlog.Position }

type dryKey struct{}

// Dry returns a context in which commands are decided and nothing is appended:
// who would append gets a *WouldAppend instead. Streams are seen as they were at
// a place in the log.
func Dry(ctx context.Context, until eventlog.Position) context.Context {
	return context.WithValue(ctx, dryKey{}, dry{until})
}

// checkAppend fails in a dry context.
func checkAppend(ctx context.Context, stream string) error {
	if _, is := ctx.Value(dryKey{}).(dry); is {
		return &WouldAppend{Stream: stream}
	}
	return nil
}

// sees tells whether an event at a place is there, for who asks in a context.
func sees(ctx context.Context, at eventlog.Position) bool {
	d, is := ctx.Value(dryKey{}).(dry)
	return !is || at.Compare(d.until) <= 0
}
