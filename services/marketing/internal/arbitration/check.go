package arbitration

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
)

// Bounds of limits. What is counted is counted by the hour, for up to a year.
const (
	mostLimits = 20
	mostHours  = 366 * 24
)

// configured brings a request into the one form in which it is compared and kept,
// or refuses it with all that is wrong with it.
func configured(a *marketingv1.Arbitration) (*marketingv1.Arbitration, error) {
	var c call.Checks
	if a == nil {
		c.Fail("arbitration", "is missing")
		return nil, c.Err()
	}
	a = proto.CloneOf(a)
	checkFactors(&c, a.GetFactorsOff())
	_, known := marketingv1.Exploration_name[int32(a.GetExploration())]
	c.That(known && a.GetExploration() != marketingv1.Exploration_EXPLORATION_UNSPECIFIED,
		"arbitration.exploration", "must be EXPLORATION_THOMPSON or EXPLORATION_OFF")
	c.That(a.GetControlShare() >= 0 && a.GetControlShare() <= 1, "arbitration.control_share", "must be from 0 to 1")
	checkLimits(&c, a.GetLimits())
	slices.Sort(a.FactorsOff)
	slices.SortFunc(a.Limits, func(a, b *marketingv1.ContactLimit) int {
		return cmp.Or(cmp.Compare(a.GetChannel(), b.GetChannel()), cmp.Compare(a.GetHours(), b.GetHours()))
	})
	return a, c.Err()
}

func checkFactors(c *call.Checks, off []marketingv1.Factor) {
	for i, f := range off {
		field := fmt.Sprintf("arbitration.factors_off[%d]", i)
		_, known := marketingv1.Factor_name[int32(f)]
		c.That(known && f != marketingv1.Factor_FACTOR_UNSPECIFIED, field, "must be a factor")
		c.That(!slices.Contains(off[:i], f), field, "must not come twice")
	}
}

func checkLimits(c *call.Checks, limits []*marketingv1.ContactLimit) {
	c.That(len(limits) <= mostLimits, "arbitration.limits", "must be at most %d", mostLimits)
	type period struct {
		channel journeyv1.Channel
		hours   uint32
	}
	seen := map[period]bool{}
	for i, l := range limits {
		field := fmt.Sprintf("arbitration.limits[%d]", i)
		_, known := journeyv1.Channel_name[int32(l.GetChannel())]
		c.That(known && l.GetChannel() != journeyv1.Channel_CHANNEL_UNSPECIFIED, field+".channel", "must be a channel")
		c.That(l.GetHours() >= 1 && l.GetHours() <= mostHours, field+".hours", "must be from 1 to %d", mostHours)
		c.That(!seen[period{l.GetChannel(), l.GetHours()}], field, "must not bound the same hours of a channel twice")
		seen[period{l.GetChannel(), l.GetHours()}] = true
	}
}
