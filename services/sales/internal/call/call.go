// Package call is what the handlers of the API share: where a call comes from,
// and what is wrong with it.
package call

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Origins makes the origins of calls.
type Origins struct {
	// Ring hashes keys and requests.
	Ring keyring.Ring
	// Key is the idempotency key of the call that a context belongs to.
	Key func(context.Context) string
	// Now is the clock.
	Now func() time.Time
}

// Of is the origin of a call that changes something.
func (o Origins) Of(ctx context.Context, method string, request proto.Message) (decider.Origin, error) {
	return decider.CallOrigin(o.Ring, flows.Sales, method, o.Key(ctx), request, o.Now().UTC())
}
