package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/google/uuid"
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

// sum is the sum of the chains of all keys, modulo 2^128. It does not depend on
// the order between keys, and does depend on the order within each, which is
// the order that a flow keeps.
type sum struct{ hi, lo uint64 }

// replace takes one key's chain out of the sum and puts its next one in.
func (s sum) replace(old, next chain) sum {
	if old != (chain{}) {
		s = s.minus(old.number())
	}
	return s.plus(next.number())
}

func (c chain) number() sum {
	var n sum
	for i, b := range c {
		if i < 8 {
			n.hi = n.hi<<8 | uint64(b)
		} else {
			n.lo = n.lo<<8 | uint64(b)
		}
	}
	return n
}

func (s sum) plus(t sum) sum {
	lo, carry := bits.Add64(s.lo, t.lo, 0)
	hi, _ := bits.Add64(s.hi, t.hi, carry)
	return sum{hi, lo}
}

func (s sum) minus(t sum) sum {
	lo, borrow := bits.Sub64(s.lo, t.lo, 0)
	hi, _ := bits.Sub64(s.hi, t.hi, borrow)
	return sum{hi, lo}
}

// String writes the sum as 32 hexadecimal digits.
func (s sum) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }

func parseSum(text string) (sum, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return sum{}, fmt.Errorf("%q is no intake digest of 32 hexadecimal digits", text)
	}
	return chain(raw).number(), nil
}
