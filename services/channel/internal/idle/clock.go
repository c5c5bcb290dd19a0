package idle

import "time"

// clock tells for how long the time of day has gone on steadily. It is set now and
// then: by hand, by a time server, or when a machine wakes up. Then what was
// recorded a moment ago may look a day old, everywhere at once.
//
// Beside the time of day there is a count that is never set (the monotonic clock).
// When the two have not gone on alike the time of day was set, and is believed only
// once it has gone on for a while again.
type clock struct {
	begun bool
	at    time.Time     // the time of day, when it was looked at last
	count time.Duration // and the count
	since time.Duration // the count at which the time of day began, or was set
}

// asOne is how far time of day and count may part between two looks: time servers
// make a clock go a little faster or slower for as long as it is wrong.
const asOne = time.Minute

// steadyFor looks at both, and returns for how long the time of day has gone on
// since it began or was set.
func (c *clock) steadyFor(at time.Time, count time.Duration) time.Duration {
	at = at.Round(0) // without the monotonic reading, by which it would always agree
	if parted := at.Sub(c.at) - (count - c.count); !c.begun || parted.Abs() > asOne {
		c.since = count
	}
	c.begun, c.at, c.count = true, at, count
	return count - c.since
}
