package plan

import "time"

// Window is a time of day, by the wall clock of a zone, on some days of the week.
// When clocks change it goes by what they show: a time that is skipped is no part
// of it, one that comes twice is part of it twice.
type Window struct {
	Days       [7]bool // by time.Weekday
	Start, End time.Duration
	Zone       *time.Location
}

// isOpen tells whether a step may begin.
func (w Window) isOpen(t time.Time) bool {
	wall := t.In(w.Zone)
	shown := time.Duration(wall.Hour())*time.Hour + time.Duration(wall.Minute())*time.Minute +
		time.Duration(wall.Second())*time.Second + time.Duration(wall.Nanosecond())
	return w.Days[wall.Weekday()] && w.Start <= shown && shown < w.End
}

// opens is the first moment at or after t when the window is open; the zero time
// when it does not open within a month.
func (w Window) opens(t time.Time) time.Time {
	if w.isOpen(t) {
		return t
	}
	const days = 31
	local := t.In(w.Zone)
	var first time.Time
	for day := -1; day < days; day++ {
		for _, at := range w.candidates(local.Year(), local.Month(), local.Day()+day) {
			if !at.Before(t) && (first.IsZero() || at.Before(first)) && w.isOpen(at) {
				first = at.UTC()
			}
		}
	}
	return first
}

// candidates are the moments of a day at which the window may open: when the clock
// shows its start, by either offset of a day on which clocks change, and when they
// change.
func (w Window) candidates(year int, month time.Month, day int) []time.Time {
	begin := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	noon := time.Date(year, month, day, 12, 0, 0, 0, w.Zone)
	var all []time.Time
	for _, near := range []time.Time{noon.Add(-24 * time.Hour), noon, noon.Add(24 * time.Hour)} {
		_, offset := near.Zone()
		all = append(all, begin.Add(w.Start).Add(-time.Duration(offset)*time.Second))
		from, until := near.ZoneBounds()
		all = append(all, from, until)
	}
	return all
}

// mayBegin tells whether a step may begin, and else when it may.
func (s Spec) mayBegin(now time.Time) (opens time.Time, may bool) {
	if len(s.Windows) == 0 {
		return now, true
	}
	for _, w := range s.Windows {
		at := w.opens(now)
		if at.Equal(now) {
			return now, true
		}
		if !at.IsZero() && (opens.IsZero() || at.Before(opens)) {
			opens = at
		}
	}
	return opens, false
}
