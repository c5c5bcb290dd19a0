package flows

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Cadence is how often a flow is taken in. The zero Cadence is not valid; make
// one with ParseCadence.
type Cadence struct {
	text     string
	schedule *schedule // nil for real time and paused
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

// cronNotation says how a cron expression is written.
const cronNotation = `a cron expression of five fields such as "30 6 * * 1-5", or of six with seconds first, with "CRON_TZ=Europe/Amsterdam " before it for a time zone other than UTC`

// What is wrapped by the errors of ParseCadence, and by those of ParseSchedule.
var (
	ErrCadence  = errors.New("not a cadence: write realtime, hourly, daily, weekly, paused, or " + cronNotation)
	ErrSchedule = errors.New("not a schedule: write hourly, daily, weekly, or " + cronNotation)
)

// ParseCadence reads a cadence: realtime, paused, hourly, daily, weekly, or a
// cron expression of five fields (minute, hour, day of month, month, day of
// week) or of six, with seconds first, by default in UTC, in another time zone with the prefix CRON_TZ=.
//
// As in cron, where both day fields are restricted either one will do; and a
// change of clocks costs no window and gives none twice. A time of day that is
// skipped comes due when the clocks change, and one that comes twice comes due
// the first time. An expression for every hour is due as the hours go by
// instead: in the hour that comes twice it is due twice, in the one that is
// skipped it is not.
func ParseCadence(text string) (Cadence, error) {
	text = strings.Join(strings.Fields(text), " ")
	if text == RealTime || text == Paused {
		return Cadence{text: text}, nil
	}
	return parsePeriodic(text, ErrCadence)
}

// ParseSchedule reads a cadence that comes due again and again: what ParseCadence
// reads, but for realtime and paused.
func ParseSchedule(text string) (Cadence, error) {
	return parsePeriodic(strings.Join(strings.Fields(text), " "), ErrSchedule)
}

func parsePeriodic(text string, wrong error) (Cadence, error) {
	expression := text
	if spec, ok := named[text]; ok {
		expression = spec
	}
	schedule, err := parseSchedule(expression)
	if err != nil {
		return Cadence{}, fmt.Errorf("%q is %w (%w)", text, wrong, err)
	}
	return Cadence{text: text, schedule: schedule}, nil
}

// String is the notation that ParseCadence reads.
func (c Cadence) String() string { return c.text }

// Equal tells whether two cadences say the same: daily is "0 2 * * *". Expressions
// that come due at the same times and are written otherwise are not equal.
func (c Cadence) Equal(other Cadence) bool { return c.expression() == other.expression() }

func (c Cadence) expression() string {
	if spec, ok := named[c.text]; ok {
		return spec
	}
	return strings.TrimPrefix(c.text, zonePrefix+"UTC ")
}

// IsRealTime tells whether events are taken in as they come.
func (c Cadence) IsRealTime() bool { return c.text == RealTime }

// IsPaused tells whether events are not taken in at all.
func (c Cadence) IsPaused() bool { return c.text == Paused }

// IsPeriodic tells whether events are taken in windows.
func (c Cadence) IsPeriodic() bool { return c.schedule != nil }

// Next returns when the first window after t is due, in UTC; the zero time when
// the cadence is not periodic.
func (c Cadence) Next(t time.Time) time.Time {
	if c.schedule == nil {
		return time.Time{}
	}
	return utc(c.schedule.next(t))
}

// LastDue returns when the last window at or before t was due, in UTC; the zero
// time when the cadence is not periodic or there was none.
func (c Cadence) LastDue(t time.Time) time.Time {
	if c.schedule == nil {
		return time.Time{}
	}
	return utc(c.schedule.last(t))
}

// utc leaves the zero time what it is.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// LongestGap returns the longest time between two windows in the year after
// from, the one that from lies in included: 0 for real time. It is what makes one cadence slower than another.
// Paused has no gap that could be compared: ok is false.
func (c Cadence) LongestGap(from time.Time) (gap time.Duration, ok bool) {
	if c.schedule == nil {
		return 0, c.IsRealTime()
	}
	year := from.AddDate(1, 0, 0)
	for _, jump := range []time.Duration{24 * time.Hour, time.Hour} {
		if gap := c.gapOver(jump, from, year); gap > 0 {
			return gap, true
		}
	}
	// No gap is over an hour, so every hour has windows: the same in each.
	return c.gapOver(0, from, from.Add(3*time.Hour)), true
}

// gapOver returns the longest gap that is over jump, or 0. It jumps: between two
// windows that are no further apart than jump there is none.
func (c Cadence) gapOver(jump time.Duration, from, end time.Time) (longest time.Duration) {
	due := c.LastDue(from)
	if due.IsZero() {
		due = c.Next(from)
	}
	for !due.IsZero() && due.Before(end) {
		next := c.LastDue(due.Add(jump))
		if !next.After(due) {
			next = c.Next(due)
			longest = max(longest, next.Sub(due))
		}
		due = next
	}
	return longest
}
