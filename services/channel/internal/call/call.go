// Package call tells where the commands of the API come from.
package call

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Origins makes the origin of a call that changes something.
type Origins func(ctx context.Context, method string, request proto.Message) (decider.Origin, error)

// NewOrigins returns Origins that find a call's idempotency key in its context
// with key, and take the time from now.
func NewOrigins(ring keyring.Ring, key func(context.Context) string, now func() time.Time) Origins {
	return func(ctx context.Context, method string, request proto.Message) (decider.Origin, error) {
		return decider.CallOrigin(ring, flows.Channel, method, key(ctx), asked(request), now().UTC())
	}
}

// asked is what a request asks for. How long its caller waits for the answer is
// no part of it: who repeats a call may be more patient.
func asked(request proto.Message) proto.Message {
	wait := request.ProtoReflect().Descriptor().Fields().ByName("wait")
	if wait == nil || !request.ProtoReflect().Has(wait) {
		return request
	}
	without := proto.Clone(request)
	without.ProtoReflect().Clear(wait)
	return without
}
