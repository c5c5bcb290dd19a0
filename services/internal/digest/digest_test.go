package digest_test

import (
	"crypto/sha256"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/digest"
)

func hash(n uint64) digest.Hash {
	h := sha256.Sum256([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	return digest.Hash(h[:16])
}

// The twin is math/big's arithmetic.
func TestASumIsModulo2To128(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	var sum digest.Sum
	twin := new(big.Int)
	for i := range 1000 {
		h := hash(random.Uint64N(500))
		n := new(big.Int).SetBytes(h[:])
		if random.IntN(3) == 0 {
			sum, twin = sum.Minus(h), twin.Sub(twin, n)
		} else {
			sum, twin = sum.Plus(h), twin.Add(twin, n)
		}
		twin.Mod(twin, modulus)
		parsed, err := digest.Parse(sum.String())
		if err != nil || parsed != sum {
			t.Fatalf("step %d: %s was read as %s, with %v", i, sum, parsed, err)
		}
		if got, _ := new(big.Int).SetString(sum.String(), 16); got.Cmp(twin) != 0 {
			t.Fatalf("step %d: got %s, want %032x", i, sum, twin)
		}
	}
}

func TestASumTellsWhatIsThereAndHowOften(t *testing.T) {
	a, b := hash(1), hash(2)
	var none digest.Sum
	for name, tc := range map[string]struct {
		x, y digest.Sum
		same bool
	}{
		"in another order":      {none.Plus(a).Plus(b), none.Plus(b).Plus(a), true},
		"in parts":              {none.Plus(a).Merge(none.Plus(b)), none.Plus(a).Plus(b), true},
		"one taken out":         {none.Plus(a).Plus(b).Minus(a), none.Plus(b), true},
		"one twice":             {none.Plus(a).Plus(b).Plus(b), none.Plus(a), false},
		"one instead of others": {none.Plus(a), none.Plus(b), false},
		"one is not none":       {none.Plus(a), none, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := tc.x == tc.y; same != tc.same {
				t.Errorf("same is %t, want %t", same, tc.same)
			}
		})
	}
}

func TestWhatIsNoDigestIsRefused(t *testing.T) {
	for _, text := range []string{"", "0", "zz", "00112233445566778899aabbccddeef", "00112233445566778899aabbccddeeff00"} {
		if _, err := digest.Parse(text); err == nil {
			t.Errorf("%q was read as a digest", text)
		}
	}
}
