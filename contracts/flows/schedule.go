package flows

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a cadence means the same on a machine without time zones

	"github.com/netresearch/go-cron"
)

// schedule is a cron expression in a time zone. The expression is evaluated on
// the wall clock, as if it never changed; walls and moments are matched here.
//
//	wall clock  01:00 ── 02:00 ┄┄┄┄┄┄┄┄ 03:00 ──   skipped: due at the change
//	            01:00 ── 02:00 ── 03:00            comes twice: the first counts
//	                     02:00 ── 03:00 ──
type schedule struct {
	wall  cron.ScheduleWithPrev // in UTC, which stands for the wall clock
	zone  *time.Location
	hours bool // due in every hour: goes by the hours, not by the wall clock
}

const zonePrefix = "CRON_TZ="

// In cron, days of the month and of the week that are both restricted are
// alternatives.
var parser = cron.MustNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom).
	WithMaxSearchYears(50) // a 29th of February that is a Monday

func parseSchedule(expression string) (*schedule, error) {
	zone, fields, err := splitZone(expression)
	if err != nil {
		return nil, err
	}
	if n := len(strings.Fields(fields)); n != 5 && n != 6 {
		return nil, fmt.Errorf("%d fields", n)
	}
	parsed, err := parser.Parse("CRON_TZ=UTC " + fields)
	if err != nil {
		return nil, err
	}
	wall, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%T has no fields", parsed)
	}
	if wall.Next(time.Unix(0, 0)).IsZero() {
		return nil, errors.New("it never comes due")
	}
	const everyHour = 1<<24 - 1
	return &schedule{wall: wall, zone: zone, hours: wall.Hour&everyHour == everyHour}, nil
}

// splitZone takes the time zone off an expression.
func splitZone(expression string) (*time.Location, string, error) {
	rest, ok := strings.CutPrefix(expression, zonePrefix)
	if !ok {
		return time.UTC, expression, nil
	}
	name, fields, _ := strings.Cut(rest, " ")
	if name == "" || name == "Local" { // would be another zone on another machine
		return nil, "", errors.New("the time zone has no name")
	}
	zone, err := time.LoadLocation(name)
	return zone, fields, err
}

// next returns the first moment after t that is due.
func (s *schedule) next(t time.Time) time.Time {
	if s.hours {
		return s.nextHourly(t)
	}
	due := s.wall.Next(s.wallAt(t))
	for !due.IsZero() && !s.moment(due).After(t) {
		due = s.wall.Next(due)
	}
	return s.orZero(due)
}

// last returns the last moment at or before t that is due.
func (s *schedule) last(t time.Time) time.Time {
	if s.hours {
		return s.lastHourly(t)
	}
	// In the hour that comes a second time, the first one's end was reached.
	from := s.wallAt(t)
	if start, _ := t.In(s.zone).ZoneBounds(); !start.IsZero() {
		if before := s.wallAt(start.Add(-1)); before.After(from) {
			from = before
		}
	}
	return s.orZero(s.prevOrAt(from))
}

// prevOrAt is the last due wall time at or before w.
func (s *schedule) prevOrAt(w time.Time) time.Time {
	return s.wall.Prev(w.Truncate(time.Second).Add(time.Second)) // Prev excludes its argument
}

func (s *schedule) orZero(due time.Time) time.Time {
	if due.IsZero() {
		return due
	}
	return s.moment(due)
}

// nextHourly goes from one change of clocks to the next: in between, wall clock
// and moments go together.
func (s *schedule) nextHourly(t time.Time) time.Time {
	for {
		offset := s.offset(t)
		due := s.wall.Next(t.UTC().Add(offset))
		if due.IsZero() {
			return due
		}
		moment := due.Add(-offset)
		_, end := t.In(s.zone).ZoneBounds()
		if end.IsZero() || moment.Before(end) {
			return moment
		}
		if moment = end.UTC(); s.isDue(moment) {
			return moment
		}
		t = moment
	}
}

func (s *schedule) lastHourly(t time.Time) time.Time {
	for {
		offset := s.offset(t)
		due := s.prevOrAt(t.UTC().Add(offset))
		if due.IsZero() {
			return due
		}
		moment := due.Add(-offset)
		start, _ := t.In(s.zone).ZoneBounds()
		if start.IsZero() || !moment.Before(start) {
			return moment
		}
		t = start.Add(-1)
	}
}

// isDue tells whether the wall clock shows a due time at t.
func (s *schedule) isDue(t time.Time) bool {
	wall := t.UTC().Add(s.offset(t))
	return s.prevOrAt(wall).Equal(wall)
}

// offset is how far the wall clock is ahead of UTC at t.
func (s *schedule) offset(t time.Time) time.Duration {
	_, seconds := t.In(s.zone).Zone()
	return time.Duration(seconds) * time.Second
}

// wallAt is what the wall clock shows at t.
func (s *schedule) wallAt(t time.Time) time.Time { return t.UTC().Add(s.offset(t)) }

// moment is when the wall clock shows w for the first time; when w is skipped,
// the moment of the change.
func (s *schedule) moment(w time.Time) time.Time {
	near := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), s.zone)
	start, end := near.ZoneBounds()
	switch shown := s.wallAt(near); {
	case shown.After(w): // skipped, and near is after the change
		return start
	case shown.Before(w): // skipped, and near is before the change
		return end
	case start.IsZero():
		return near
	}
	if first := w.Add(-s.offset(start.Add(-1))).In(s.zone); first.Before(start) {
		return first
	}
	return near
}
