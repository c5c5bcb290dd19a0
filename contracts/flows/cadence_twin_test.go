package flows_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// choice is a field of a cron expression, and what it means.
type choice struct {
	text  string
	match func(int) bool
}

func anything(int) bool { return true }

func oneOf(values ...int) func(int) bool {
	return func(n int) bool { return slices.Contains(values, n) }
}

func within(low, high int) func(int) bool {
	return func(n int) bool { return low <= n && n <= high }
}

var (
	secondChoices = []choice{
		{"0", oneOf(0)},
		{"*/20", func(n int) bool { return n%20 == 0 }},
		{"59", oneOf(59)},
		{"*", anything},
	}
	minuteChoices = []choice{
		{"*", anything},
		{"30", oneOf(30)},
		{"0", oneOf(0)},
		{"0,59", oneOf(0, 59)},
		{"*/15", func(n int) bool { return n%15 == 0 }},
	}
	hourChoices = []choice{
		{"*", anything},
		{"2", oneOf(2)},
		{"0", oneOf(0)},
		{"1-3", within(1, 3)},
		{"23", oneOf(23)},
		{"0-23", anything},
		{"*/6", func(n int) bool { return n%6 == 0 }},
		{"1,2,14", oneOf(1, 2, 14)},
	}
	monthDayChoices = []choice{{"*", anything}, {"*", anything}, {"1-7", within(1, 7)}, {"25-31", within(25, 31)}}
	weekDayChoices  = []choice{{"*", anything}, {"*", anything}, {"0", oneOf(0)}, {"1-5", within(1, 5)}}
)

// twin evaluates an expression without any cleverness: minute by minute, or second
// by second where it has a field for them.
type twin struct {
	second, minute, hour, monthDay, weekDay choice
	zone                                    *time.Location
}

func (w twin) text() string {
	return "CRON_TZ=" + w.zone.String() + " " + w.second.text + " " + w.minute.text + " " + w.hour.text + " " + w.monthDay.text + " * " + w.weekDay.text
}

// step is how far apart two due times are at least.
func (w twin) step() time.Duration {
	if w.second.text == "" {
		return time.Minute
	}
	return time.Second
}

func (w twin) matches(wall time.Time) bool {
	day, weekDay := w.monthDay.match(wall.Day()), w.weekDay.match(int(wall.Weekday()))
	days := day && weekDay
	if w.monthDay.text != "*" && w.weekDay.text != "*" {
		days = day || weekDay
	}
	seconds := w.second.text == "" || w.second.match(wall.Second())
	return seconds && w.minute.match(wall.Minute()) && w.hour.match(wall.Hour()) && days
}

// due lists the moments from, to that are due. What the wall clock shows for the
// first time is due when it matches, and what it jumped over counts as shown;
// "every hour" is due whenever the wall clock matches.
func (w twin) due(from, to time.Time) []time.Time {
	var due []time.Time
	wallOf := func(t time.Time) time.Time {
		_, offset := t.In(w.zone).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	everyHour := w.hour.text == "*" || w.hour.text == "0-23"
	step := w.step()
	shown := wallOf(from.Add(-step)) // the latest that the wall clock has shown
	for t := from; t.Before(to); t = t.Add(step) {
		wall, isDue := wallOf(t), false
		for ; shown.Before(wall); shown = shown.Add(step) {
			isDue = isDue || w.matches(shown.Add(step))
		}
		if everyHour {
			isDue = w.matches(wall)
		}
		if isDue {
			due = append(due, t)
		}
	}
	return due
}

func TestNextAndLastDueAgreeWithANaiveTwin(t *testing.T) {
	changes := map[string][]string{
		"Europe/Amsterdam":    {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"},
		"America/New_York":    {"2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"},
		"Australia/Lord_Howe": {"2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"}, // half an hour
		"America/Sao_Paulo":   {"2018-11-04T03:00:00Z", "2018-02-18T02:00:00Z"}, // at midnight
		"Pacific/Apia":        {"2011-12-30T10:00:00Z"},                         // a whole day
		"UTC":                 {"2026-02-28T12:00:00Z"},
	}
	random := rand.New(rand.NewPCG(7, 11))
	pick := func(from []choice) choice { return from[random.IntN(len(from))] }
	for name, moments := range changes {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			change := at(t, moments[random.IntN(len(moments))])
			compare(t, random, change, 50*time.Hour, twin{
				choice{}, pick(minuteChoices), pick(hourChoices), pick(monthDayChoices), pick(weekDayChoices), zone,
			})
		}
		for range 15 {
			change := at(t, moments[random.IntN(len(moments))])
			compare(t, random, change, 3*time.Hour, twin{
				pick(secondChoices), pick(minuteChoices), pick(hourChoices), choice{"*", anything}, choice{"*", anything}, zone,
			})
		}
	}
}

func compare(t *testing.T, random *rand.Rand, change time.Time, around time.Duration, w twin) {
	t.Helper()
	from, to := change.Add(-around), change.Add(around)
	due := w.due(from, to)
	if len(due) == 0 {
		return
	}
	cadence := mustParse(t, w.text())
	for range 50 {
		moment := from.Add(time.Duration(random.Int64N(int64(to.Sub(from))))).Truncate(time.Second)
		if random.IntN(2) == 0 { // on a boundary, as likely as not
			moment = due[random.IntN(len(due))]
		}
		after := slices.IndexFunc(due, func(d time.Time) bool { return d.After(moment) })
		if after < 0 {
			after = len(due)
		}
		if got := cadence.Next(moment); after < len(due) && !got.Equal(due[after]) {
			t.Fatalf("%s: Next(%v) is %v, want %v", w.text(), moment, got, due[after])
		}
		if got := cadence.LastDue(moment); after > 0 && !got.Equal(due[after-1]) {
			t.Fatalf("%s: LastDue(%v) is %v, want %v", w.text(), moment, got, due[after-1])
		}
	}
}
