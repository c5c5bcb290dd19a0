package flow

import (
	"crypto/sha256"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/digest"
)

// chain is a hash over the ids of a key's events, in the order in which they were
// taken in.
type chain [16]byte

// next is the chain after one more event. The zero chain is of no events.
func (c chain) next(id uuid.UUID) chain {
	h := sha256.New()
	h.Write(c[:])
	h.Write(id[:])
	return chain(h.Sum(nil)[:16])
}

// replace takes one key's chain out of the sum of all keys' and puts its next one
// in. The sum does not depend on the order between keys, and does depend on the
// order within each, which is the order that a flow keeps.
func replace(s digest.Sum, old, next chain) digest.Sum {
	if old != (chain{}) {
		s = s.Minus(digest.Hash(old))
	}
	return s.Plus(digest.Hash(next))
}
