package call

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/triangle-suite/triangle/services/internal/decider"
)

// How long a call may wait for what another service makes of it.
const (
	DefaultWait = 150 * time.Millisecond
	LongestWait = 10 * time.Second
)

// Wait returns how long a call may wait.
func (c *Checks) Wait(field string, wait *durationpb.Duration) time.Duration {
	if wait == nil {
		return DefaultWait
	}
	d := wait.AsDuration()
	c.That(wait.IsValid() && d >= 0 && d <= LongestWait, field, "must be from 0s to %s", LongestWait)
	return d
}

// Asking returns origins that look only at what a request asks for. How long its
// caller waits for the answer is no part of it: who repeats a call may be more
// patient.
func Asking(origins Origins) Origins {
	return func(ctx context.Context, method string, request proto.Message) (decider.Origin, error) {
		return origins(ctx, method, withoutWait(request))
	}
}

func withoutWait(request proto.Message) proto.Message {
	wait := request.ProtoReflect().Descriptor().Fields().ByName("wait")
	if wait == nil || !request.ProtoReflect().Has(wait) {
		return request
	}
	without := proto.Clone(request)
	without.ProtoReflect().Clear(wait)
	return without
}
