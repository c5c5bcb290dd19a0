package serve

import (
	"context"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// keyHeader is the metadata, and the REST header, that carries a call's
// idempotency key.
const keyHeader = "idempotency-key"

const longestKey = 255

type keyOf struct{}

// IdempotencyKey returns the key that the call of ctx carries. It is empty for a
// method that only reads, where no key is asked for.
func IdempotencyKey(ctx context.Context) string {
	key, _ := ctx.Value(keyOf{}).(string)
	return key
}

// IsRead tells the methods that change nothing: those that begin with Get or
// List, and gRPC's own, such as health.
func IsRead(fullMethod string) bool {
	name := path.Base(fullMethod)
	return strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List") || strings.HasPrefix(fullMethod, "/grpc.")
}

// requireKey lets no call through that changes something and could not be told
// from its own repetition.
func (c calls) requireKey(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if c.isRead(info.FullMethod) {
		return handler(ctx, req)
	}
	keys := metadata.ValueFromIncomingContext(ctx, keyHeader)
	if len(keys) == 0 || keys[0] == "" {
		return nil, fault.Invalid(fault.Field(keyHeader, "is missing: a call that changes something carries one, and is repeated with the same one")).
			WithReason("IDEMPOTENCY_KEY_MISSING")
	}
	if len(keys) > 1 || !goodKey(keys[0]) {
		return nil, fault.Invalid(fault.Field(keyHeader, "must be given once, as 1 to %d printable ASCII characters", longestKey)).
			WithReason("IDEMPOTENCY_KEY_INVALID")
	}
	return handler(context.WithValue(ctx, keyOf{}, keys[0]), req)
}

func goodKey(key string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return len(key) <= longestKey && !strings.ContainsFunc(key, unprintable)
}
