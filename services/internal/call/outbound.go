package call

import journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"

// Outbound checks that a channel is one that carries out leads: visitors come to
// the others by themselves.
func (c *Checks) Outbound(field string, channel journeyv1.Channel) {
	switch channel {
	case journeyv1.Channel_CHANNEL_EMAIL, journeyv1.Channel_CHANNEL_CALL_CENTRE, journeyv1.Channel_CHANNEL_PRINT:
	default:
		c.Fail(field, "must be CHANNEL_EMAIL, CHANNEL_CALL_CENTRE or CHANNEL_PRINT: the others carry out no leads")
	}
}
