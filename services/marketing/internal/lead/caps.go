package lead

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// CapsStream is the stream of the caps.
const CapsStream = "caps"

// Caps are how many leads a customer gets; none before anybody says so.
type Caps struct {
	Configured *marketingv1.LeadCapsConfigured
}

// CapsDecider is the pure core of the caps.
var CapsDecider = decider.Decider[Caps]{
	Initial: func() Caps { return Caps{} },
	Evolve: func(s Caps, event proto.Message) Caps {
		if configured, ok := event.(*marketingv1.LeadCapsConfigured); ok {
			s.Configured = configured
		}
		return s
	},
}

// Configure says how many leads a customer gets from now on. To say the same again
// writes nothing.
func Configure(s Caps, c *marketingv1.LeadCapsConfigured) []proto.Message {
	if proto.Equal(cmp.Or(s.Configured, &marketingv1.LeadCapsConfigured{}), c) {
		return nil
	}
	return []proto.Message{c}
}

// Now returns the caps, from their stream: a table would lag behind.
func Now(ctx context.Context, s *decider.Streams) ([]*marketingv1.LeadCap, error) {
	caps, _, err := decider.Load(ctx, s, CapsStream, CapsDecider)
	if err != nil {
		return nil, fmt.Errorf("look up the caps of leads: %w", err)
	}
	return caps.Configured.GetCaps(), nil
}

// Bounds of caps.
const (
	mostCaps  = 20
	mostHours = 366 * 24
)

// configured brings caps into the one form in which they are compared and kept, or
// refuses them with all that is wrong with them.
func configured(m *marketingv1.LeadCaps) (*marketingv1.LeadCapsConfigured, error) {
	var c call.Checks
	if len(m.GetCaps()) == 0 {
		c.Fail("lead_caps.caps", "is missing: give the caps that are to hold; to have none, clear them (ClearLeadCaps, DELETE /v1/lead-caps)")
		return nil, c.Err()
	}
	d := &marketingv1.LeadCapsConfigured{Caps: proto.CloneOf(m).GetCaps()}
	c.That(len(d.GetCaps()) <= mostCaps, "lead_caps.caps", "must be at most %d", mostCaps)
	type period struct {
		channel journeyv1.Channel
		hours   uint32
	}
	seen := map[period]bool{}
	for i, l := range d.GetCaps() {
		field := fmt.Sprintf("lead_caps.caps[%d]", i)
		if l.GetChannel() != journeyv1.Channel_CHANNEL_UNSPECIFIED { // which bounds all together
			c.Outbound(field+".channel", l.GetChannel())
		}
		c.That(l.GetHours() >= 1 && l.GetHours() <= mostHours, field+".hours", "must be from 1 to %d", mostHours)
		c.That(!seen[period{l.GetChannel(), l.GetHours()}], field, "must not bound the same hours of a channel twice")
		seen[period{l.GetChannel(), l.GetHours()}] = true
	}
	slices.SortFunc(d.GetCaps(), func(a, b *marketingv1.LeadCap) int {
		return cmp.Or(cmp.Compare(a.GetChannel(), b.GetChannel()), cmp.Compare(a.GetHours(), b.GetHours()))
	})
	return d, c.Err()
}
