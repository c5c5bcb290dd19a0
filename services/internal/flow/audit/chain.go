package audit

import (
	"crypto/sha256"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/digest"
)

// Chain is the hash over the ids of a key's events, in their order.
type Chain digest.Hash

// Next is the chain with one more event. The zero Chain is of no events.
func (c Chain) Next(id uuid.UUID) Chain {
	var both [len(c) + len(id)]byte
	copy(both[:], c[:])
	copy(both[len(c):], id[:])
	sum := sha256.Sum256(both[:])
	return Chain(sum[:len(c)])
}

// through is the chain with some more events.
func (c Chain) through(ids []uuid.UUID) Chain {
	for _, id := range ids {
		c = c.Next(id)
	}
	return c
}
