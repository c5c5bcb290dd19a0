// Package digest sums up hashes so that the order in which they come makes no
// difference, and how often each one comes does: two sets of rows, or of keys
// with their chains, have the same sum when they are the same.
//
// The sum is that of the hashes modulo 2^128. An exclusive or would not do: what
// is there twice would vanish. Somebody who can choose rows freely could make two
// sets of the same sum; it shows faults, and is no signature.
package digest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Hash is the first half of a SHA-256 hash.
type Hash [16]byte

// Sum is a sum of hashes, modulo 2^128. The zero Sum is of none.
type Sum struct{ hi, lo uint64 }

// Plus returns the sum with one hash more.
func (s Sum) Plus(h Hash) Sum { return s.Merge(number(h)) }

// Minus returns the sum with one hash less.
func (s Sum) Minus(h Hash) Sum {
	n := number(h)
	lo, borrow := bits.Sub64(s.lo, n.lo, 0)
	hi, _ := bits.Sub64(s.hi, n.hi, borrow)
	return Sum{hi, lo}
}

// Merge returns the sum of what two sums are of.
func (s Sum) Merge(t Sum) Sum {
	lo, carry := bits.Add64(s.lo, t.lo, 0)
	hi, _ := bits.Add64(s.hi, t.hi, carry)
	return Sum{hi, lo}
}

func number(h Hash) Sum {
	return Sum{hi: binary.BigEndian.Uint64(h[:8]), lo: binary.BigEndian.Uint64(h[8:])}
}

// String writes the sum as 32 hexadecimal digits.
func (s Sum) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }

// Parse reads what String writes.
func Parse(text string) (Sum, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(Hash{}) {
		return Sum{}, fmt.Errorf("%q is no digest of 32 hexadecimal digits", text)
	}
	return number(Hash(raw)), nil
}
