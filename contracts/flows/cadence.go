package flows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// Cadence is how often a flow is taken in. The zero Cadence is not valid; make
// one with ParseCadence.
type Cadence struct {
	text     string
	schedule cron.ScheduleWithPrev // nil for real time and paused
}

// The notation of the cadences that have a name.
const (
	RealTime = "realtime" // as the events come
	Paused   = "paused"   // not at all, until another cadence is set
	Hourly   = "hourly"   // every hour, on the hour
	Daily    = "daily"    // every day at 02:00 UTC
	Weekly   = "weekly"   // every Monday at 02:00 UTC
)

var named = map[string]string{
	Hourly: "0 * * * *",
	Daily:  "0 2 * * *",
	Weekly: "0 2 * * 1",
}

// ErrCadence is wrapped by the errors of ParseCadence.
var ErrCadence = errors.New("not a cadence: write realtime, hourly, daily, weekly, paused, or a cron expression of five fields such as \"30 6 * * 1-5\", with \"CRON_TZ=Europe/Amsterdam \" before it for a time zone other than UTC")

// ParseCadence reads a cadence: realtime, paused, hourly, daily, weekly, or a
// cron expression of five fields (minute, hour, day of month, month, day of
// week), by default in UTC, in another time zone with the prefix CRON_TZ=.
//
// At a change of clocks a time that is skipped runs at the change, and one that
// comes twice runs once, as cron does.
func ParseCadence(text string) (Cadence, error) {
	text = strings.Join(strings.Fields(text), " ")
	if text == RealTime || text == Paused {
		return Cadence{text: text}, nil
	}
	expression := text
	if spec, ok := named[text]; ok {
		expression = spec
	}
	if strings.HasPrefix(expression, "@") {
		return Cadence{}, fmt.Errorf("%q is %w", text, ErrCadence)
	}
	if !strings.HasPrefix(expression, "CRON_TZ=") {
		expression = "CRON_TZ=UTC " + expression
	}
	schedule, err := cron.ParseStandard(expression)
	if err != nil {
		return Cadence{}, fmt.Errorf("%q is %w (%w)", text, ErrCadence, err)
	}
	withPrev, ok := schedule.(cron.ScheduleWithPrev)
	if !ok || schedule.Next(time.Unix(0, 0)).IsZero() {
		return Cadence{}, fmt.Errorf("%q never comes due, and is %w", text, ErrCadence)
	}
	return Cadence{text: text, schedule: withPrev}, nil
}

// String is the notation that ParseCadence reads.
func (c Cadence) String() string { return c.text }

// IsRealTime tells whether events are taken in as they come.
func (c Cadence) IsRealTime() bool { return c.text == RealTime }

// IsPeriodic tells whether events are taken in windows.
func (c Cadence) IsPeriodic() bool { return c.schedule != nil }

// Next returns when the first window after t is due; the zero time when the
// cadence is not periodic.
func (c Cadence) Next(t time.Time) time.Time {
	if c.schedule == nil {
		return time.Time{}
	}
	return c.schedule.Next(t)
}

// LastDue returns when the last window at or before t was due; the zero time
// when the cadence is not periodic or there was none.
func (c Cadence) LastDue(t time.Time) time.Time {
	if c.schedule == nil {
		return time.Time{}
	}
	return c.schedule.Prev(t.Truncate(time.Second).Add(time.Second)) // Prev excludes its argument
}

// LongestGap returns the longest time between two windows in the year after
// from: 0 for real time. It is what makes one cadence slower than another.
// Paused has no gap that could be compared: ok is false.
func (c Cadence) LongestGap(from time.Time) (gap time.Duration, ok bool) {
	if c.schedule == nil {
		return 0, c.IsRealTime()
	}
	end := from.AddDate(1, 0, 0)
	for due := c.Next(from); !due.IsZero() && due.Before(end); {
		next := c.Next(due)
		if next.IsZero() {
			break
		}
		gap = max(gap, next.Sub(due))
		due = next
	}
	return gap, true
}
