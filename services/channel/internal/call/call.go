// Package call tells where the commands of the API come from.
package call

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Origins makes the origin of a call that changes something.
type Origins func(ctx context.Context, method string, request proto.Message) (decider.Origin, error)

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
