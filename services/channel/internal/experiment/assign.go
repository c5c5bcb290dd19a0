package experiment

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
)

// visitor names who is in a contact, as far as it is known: the customer, else by
// the pseudonym of the channel where they came in, else nobody but the one of this
// contact.
func visitor(c contact.State) string {
	switch {
	case c.CustomerID != "":
		return "customer:" + c.CustomerID
	case c.VisitorID != "":
		return c.Began.String() + ":" + c.VisitorID
	}
	return "contact:" + c.ID
}

// pick returns the variant that a unit falls to, in proportion to the weights. 64
// bits that are as good as drawn evenly are scaled to the sum of the weights: what
// is not even of that is less than one in 2^40.
func pick(variants []*channelv1.Variant, unit string) string {
	var total uint64
	for _, v := range variants {
		total += uint64(v.GetWeight())
	}
	sum := sha256.Sum256([]byte(unit))
	point, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), total)
	for _, v := range variants {
		weight := uint64(v.GetWeight())
		if point < weight {
			return v.GetVariantId()
		}
		point -= weight
	}
	return "" // of no variants
}
