package flows_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
)

func mustParse(t testing.TB, text string) flows.Cadence {
	t.Helper()
	cadence, err := flows.ParseCadence(text)
	if err != nil {
		t.Fatal(err)
	}
	return cadence
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestNextAndLastDue(t *testing.T) {
	const from = "2026-11-21T14:30:00Z" // a Saturday
	for name, tc := range map[string]struct{ cadence, from, wantNext, wantLast string }{
		"hourly, on the hour":       {"hourly", from, "2026-11-21T15:00:00Z", "2026-11-21T14:00:00Z"},
		"daily, at 02:00 UTC":       {"daily", from, "2026-11-22T02:00:00Z", "2026-11-21T02:00:00Z"},
		"weekly, on Monday":         {"weekly", from, "2026-11-23T02:00:00Z", "2026-11-16T02:00:00Z"},
		"the moment itself is due":  {"daily", "2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z", "2026-11-21T02:00:00Z"},
		"just before it":            {"daily", "2026-11-21T01:59:59Z", "2026-11-21T02:00:00Z", "2026-11-20T02:00:00Z"},
		"just after it":             {"daily", "2026-11-21T02:00:01Z", "2026-11-22T02:00:00Z", "2026-11-21T02:00:00Z"},
		"on weekdays":               {"30 6 * * 1-5", from, "2026-11-23T06:30:00Z", "2026-11-20T06:30:00Z"},
		"every ten seconds":         {"*/10 * * * * *", "2026-11-21T14:30:05Z", "2026-11-21T14:30:10Z", "2026-11-21T14:30:00Z"},
		"another time zone, winter": {"CRON_TZ=Europe/Amsterdam 30 6 * * *", from, "2026-11-22T05:30:00Z", "2026-11-21T05:30:00Z"},
		"another time zone, summer": {
			"CRON_TZ=Europe/Amsterdam 30 6 * * *", "2026-07-01T00:00:00Z", "2026-07-01T04:30:00Z", "2026-06-30T04:30:00Z",
		},
		"half an hour off":           {"CRON_TZ=Asia/Kolkata 0 * * * *", from, "2026-11-21T15:30:00Z", from},
		"a leap day":                 {"0 0 29 2 *", from, "2028-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
		"the 13th, and every Friday": {"0 0 13 * 5", from, "2026-11-27T00:00:00Z", "2026-11-20T00:00:00Z"},
		"a fraction of a second":     {"hourly", "2026-11-21T14:00:00.5Z", "2026-11-21T15:00:00Z", "2026-11-21T14:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			cadence := mustParse(t, tc.cadence)
			if got := cadence.Next(at(t, tc.from)); !got.Equal(at(t, tc.wantNext)) || got.Location() != time.UTC {
				t.Errorf("Next: %v, want %s", got, tc.wantNext)
			}
			if got := cadence.LastDue(at(t, tc.from)); !got.Equal(at(t, tc.wantLast)) || got.Location() != time.UTC {
				t.Errorf("LastDue: %v, want %s", got, tc.wantLast)
			}
		})
	}
}

// windows lists what is due after from, up to to, by going from one to the next.
func windows(cadence flows.Cadence, from, to time.Time) []string {
	var due []string
	for next := cadence.Next(from); !next.IsZero() && !next.After(to); next = cadence.Next(next) {
		due = append(due, next.Format("02T15:04Z"))
	}
	return due
}

func TestAChangeOfClocksCostsNoWindowAndGivesNoneTwice(t *testing.T) {
	for name, tc := range map[string]struct{ cadence, from, want string }{
		"Amsterdam, 02:30 is skipped: due at the change": {
			"CRON_TZ=Europe/Amsterdam 30 2 * * *", "2026-03-28T12:00:00Z", "29T01:00Z 30T00:30Z 31T00:30Z",
		},
		"Amsterdam, 02:30 comes twice: due the first time": {
			"CRON_TZ=Europe/Amsterdam 30 2 * * *", "2026-10-24T12:00:00Z", "25T00:30Z 26T01:30Z 27T01:30Z",
		},
		"New York, 02:30 is skipped": {
			"CRON_TZ=America/New_York 30 2 * * *", "2026-03-07T12:00:00Z", "08T07:00Z 09T06:30Z 10T06:30Z",
		},
		"New York, 01:30 comes twice": {
			"CRON_TZ=America/New_York 30 1 * * *", "2026-10-31T12:00:00Z", "01T05:30Z 02T06:30Z 03T06:30Z",
		},
		"New York, 02:30 on the day that is longer": {
			"CRON_TZ=America/New_York 30 2 * * *", "2026-10-31T12:00:00Z", "01T07:30Z 02T07:30Z 03T07:30Z",
		},
		"several skipped times are one window": {
			"CRON_TZ=Europe/Amsterdam 0,15,30,45 2 * * *", "2026-03-29T00:00:00Z",
			"29T01:00Z 30T00:00Z 30T00:15Z 30T00:30Z 30T00:45Z 31T00:00Z 31T00:15Z 31T00:30Z 31T00:45Z",
		},
		"São Paulo, midnight is skipped": {
			"CRON_TZ=America/Sao_Paulo 0 0 * * *", "2018-11-03T12:00:00Z", "04T03:00Z 05T02:00Z 06T02:00Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			from := at(t, tc.from)
			got := strings.Join(windows(mustParse(t, tc.cadence), from, from.Add(68*time.Hour)), " ")
			if got != tc.want {
				t.Errorf("due %s, want %s", got, tc.want)
			}
		})
	}
}

func TestEveryHourGoesByTheHours(t *testing.T) {
	hourly := mustParse(t, "CRON_TZ=Europe/Amsterdam 0 * * * *")
	for _, change := range []string{"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"} {
		from := at(t, change).Add(-3 * time.Hour)
		for i := range 6 {
			want := from.Add(time.Duration(i+1) * time.Hour)
			if got := hourly.Next(want.Add(-time.Hour)); !got.Equal(want) {
				t.Errorf("Next: %v, want %v", got, want)
			}
		}
	}
}

func TestNamedCadencesThatAreNotPeriodic(t *testing.T) {
	now := at(t, "2026-11-21T14:30:00Z")
	for _, name := range []string{flows.RealTime, flows.Paused} {
		cadence := mustParse(t, name)
		if cadence.IsPeriodic() || !cadence.Next(now).IsZero() || !cadence.LastDue(now).IsZero() {
			t.Errorf("%s has windows", name)
		}
		if cadence.IsRealTime() != (name == flows.RealTime) || cadence.IsPaused() != (name == flows.Paused) {
			t.Errorf("%s is taken for another one", name)
		}
	}
	if mustParse(t, flows.Daily).IsRealTime() || !mustParse(t, flows.Daily).IsPeriodic() || mustParse(t, flows.Daily).IsPaused() {
		t.Error("daily is not periodic")
	}
}

func TestACadenceIsWrittenAsItIsRead(t *testing.T) {
	for in, want := range map[string]string{
		"realtime":  "realtime",
		"  weekly ": "weekly",
		"CRON_TZ=Europe/Amsterdam  30  6 * *  1-5": "CRON_TZ=Europe/Amsterdam 30 6 * * 1-5",
	} {
		cadence := mustParse(t, in)
		if cadence.String() != want || mustParse(t, cadence.String()).String() != want {
			t.Errorf("%q is written %q, want %q", in, cadence, want)
		}
	}
}

func TestWhatIsNoCadenceIsToldWhatToWrite(t *testing.T) {
	for _, text := range []string{
		"", "often", "Daily", "@daily", "@every 5m", "5", "* * * *", "60 * * * * *", "0 0 0 * * * *", "60 * * * *", "0 24 * * *", "0 0 30 2 *",
		"0 0 * * 8", "a b c d e", "-1 * * * *", "CRON_TZ=Europe/Atlantis 0 2 * * *", "CRON_TZ= 0 2 * * *",
		"CRON_TZ=Local 0 2 * * *", "CRON_TZ=UTC", "CRON_TZ=UTC daily", "CRON_TZ=UTC CRON_TZ=UTC 0 2 * * *", "TZ=UTC 0 2 * * *",
		"CRON_TZ=../../etc/passwd 0 2 * * *", "0 0 1 1 1 2026", "H 2 * * *", "0 0 L * *",
	} {
		_, err := flows.ParseCadence(text)
		if !errors.Is(err, flows.ErrCadence) {
			t.Errorf("ParseCadence(%q): %v, want ErrCadence", text, err)
			continue
		}
		for _, hint := range []string{"realtime", "30 6 * * 1-5", "CRON_TZ=", `"` + text + `"`} {
			if !strings.Contains(err.Error(), hint) {
				t.Errorf("the error %q does not have %q", err, hint)
			}
		}
	}
}

func TestSlowerCadencesHaveLongerGaps(t *testing.T) {
	from := at(t, "2026-01-01T00:00:00Z")
	for cadence, want := range map[string]time.Duration{
		"realtime":       0,
		"*/10 * * * * *": 10 * time.Second,
		"* * * * *":      time.Minute,
		"*/5 * * * *":    5 * time.Minute,
		"1,40 * * * *":   39 * time.Minute,
		"hourly":         time.Hour,
		"0 8-17 * * *":   15 * time.Hour,
		"daily":          24 * time.Hour,
		"0 0 * * 1-5":    72 * time.Hour,
		"weekly":         7 * 24 * time.Hour,
		"0 0 1 * *":      31 * 24 * time.Hour,
		"0 0 1 1 *":      365 * 24 * time.Hour,  // the year begins with its only one
		"0 0 29 2 *":     1461 * 24 * time.Hour, // the year is in the middle of it
		"* * * 6 *":      365*24*time.Hour - 30*24*time.Hour + time.Minute,
		// The day on which the clocks are set back is longer.
		"CRON_TZ=Europe/Amsterdam 0 6 * * *": 25 * time.Hour,
		"CRON_TZ=Europe/Amsterdam 0 * * * *": time.Hour,
	} {
		got, ok := mustParse(t, cadence).LongestGap(from)
		if !ok || got != want {
			t.Errorf("%s: %v (%v), want %v", cadence, got, ok, want)
		}
	}
	if _, ok := mustParse(t, flows.Paused).LongestGap(from); ok {
		t.Error("paused has a longest gap")
	}
}

func BenchmarkCadence(b *testing.B) {
	from := at(b, "2026-01-01T00:00:00Z")
	for name, text := range map[string]string{"daily": "daily", "zone": "CRON_TZ=Europe/Amsterdam */5 * * * *"} {
		cadence := mustParse(b, text)
		b.Run("next/"+name, func(b *testing.B) {
			for b.Loop() {
				cadence.Next(from)
			}
		})
		b.Run("longest-gap/"+name, func(b *testing.B) {
			for b.Loop() {
				cadence.LongestGap(from)
			}
		})
	}
}

// What has to come due again and again is no cadence of a flow: neither real time nor
// paused is one, and neither is offered.
func TestAScheduleComesDueAgainAndAgain(t *testing.T) {
	for _, text := range []string{"hourly", "daily", "weekly", " 30  6 * * 1-5", "CRON_TZ=Europe/Amsterdam 30 6 * * 1-5"} {
		if s, err := flows.ParseSchedule(text); err != nil || !s.IsPeriodic() {
			t.Errorf("ParseSchedule(%q): %v", text, err)
		}
	}
	for _, text := range []string{"realtime", "paused", "every morning", "", "0 0 30 2 *"} {
		_, err := flows.ParseSchedule(text)
		if !errors.Is(err, flows.ErrSchedule) || strings.Contains(err.Error(), "realtime, ") || strings.Contains(err.Error(), "paused, ") {
			t.Errorf("ParseSchedule(%q): %v", text, err)
		}
	}
}

func TestCadencesThatSayTheSameAreEqual(t *testing.T) {
	for _, tc := range []struct {
		one, other string
		want       bool
	}{
		{"daily", "0 2 * * *", true},
		{"hourly", "CRON_TZ=UTC 0 * * * *", true},
		{"realtime", "realtime", true},
		{"daily", "CRON_TZ=Europe/Amsterdam 0 2 * * *", false},
		{"daily", "weekly", false},
		{"realtime", "paused", false},
	} {
		one, err := flows.ParseCadence(tc.one)
		if err != nil {
			t.Fatal(err)
		}
		other, err := flows.ParseCadence(tc.other)
		if err != nil {
			t.Fatal(err)
		}
		if got := one.Equal(other); got != tc.want {
			t.Errorf("%s and %s: equal %v, want %v", tc.one, tc.other, got, tc.want)
		}
	}
}
