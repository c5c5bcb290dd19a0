package esdb

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// slow is a context whose time is up, and whose timer has not fired yet.
type slow struct{ context.Context }

func (slow) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

// The client looks at the clock itself, and may find that the time is up before the
// context does.
func TestACallWhoseTimeIsUpSaysSo(t *testing.T) {
	refused := status.FromContextError(context.DeadlineExceeded).Err()
	if status.Code(refused) != codes.DeadlineExceeded || errors.Is(refused, context.DeadlineExceeded) {
		t.Fatalf("%v is what the client says no more", refused)
	}
	err := explain(slow{t.Context()}, refused)
	for _, want := range []error{eventlog.ErrUnavailable, context.DeadlineExceeded} {
		if !errors.Is(err, want) {
			t.Errorf("got %v, want it to be %v", err, want)
		}
	}
}
