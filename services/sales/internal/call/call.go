// Package call is what the handlers of the API share: where a call comes from,
// and what is wrong with it.
package call

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Origins returns the origin of a call that changes something.
type Origins func(ctx context.Context, method string, request proto.Message) (decider.Origin, error)
