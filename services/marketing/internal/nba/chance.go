package nba

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// chance is where the luck of one proposition in one decision comes from. Each has
// its own, so that a proposition more or less changes nobody else's.
type chance struct{ source *rand.PCG }

func newChance(seed uint64, proposition string) chance {
	sum := sha256.Sum256([]byte(proposition))
	return chance{rand.NewPCG(seed, binary.BigEndian.Uint64(sum[:]))}
}

// uniform is between 0 and 1, and never either.
func (c chance) uniform() float64 {
	return times(float64(c.source.Uint64()>>11)+0.5, 0x1p-53)
}

// normal is a standard normal variable (Marsaglia and Bray, A Convenient Method
// for Generating Normal Variables, SIAM Review 6, 1964: the polar method).
func (c chance) normal() float64 {
	for {
		u, v := times(2, c.uniform())-1, times(2, c.uniform())-1
		if s := times(u, u) + times(v, v); s < 1 && s > 0 {
			return times(u, math.Sqrt(times(-2, log(s))/s))
		}
	}
}

// share is a number from 0 up to 1 that belongs to a customer: the same for
// ever, and as good as random among customers.
func share(of string) float64 {
	sum := sha256.Sum256([]byte("control|" + of))
	return times(float64(binary.BigEndian.Uint64(sum[:])>>11), 0x1p-53)
}
