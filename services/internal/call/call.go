// Package call is what every handler needs of its call: where it comes from, how
// long it may wait, and all that is wrong with its fields.
package call

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Origins returns the origin of a call that changes something: its idempotency
// key, its request and its time, out of which all ids derive.
type Origins func(ctx context.Context, method string, request proto.Message) (decider.Origin, error)
