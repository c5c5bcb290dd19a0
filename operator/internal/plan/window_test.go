package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindowsOpenAsTheClockShows holds when a window opens against a twin that looks
// at the clock each minute, around the days on which clocks change.
func TestWindowsOpenAsTheClockShows(t *testing.T) {
	zones := []string{"UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"}
	starts := []time.Time{
		time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 3, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 3, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 30, 0, 0, 0, 0, time.UTC),
	}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		start := rapid.IntRange(0, 24*60-1).Draw(t, "start")
		w := Window{
			Start: time.Duration(start) * time.Minute, End: time.Duration(rapid.IntRange(start+1, 24*60).Draw(t, "end")) * time.Minute, Zone: zone,
		}
		for range rapid.IntRange(1, 3).Draw(t, "days") {
			w.Days[rapid.IntRange(0, 6).Draw(t, "day")] = true
		}
		from := rapid.SampledFrom(starts).Draw(t, "from").Add(time.Duration(rapid.IntRange(0, 72*60).Draw(t, "minutes")) * time.Minute)
		want := from
		for !shows(w, want) {
			want = want.Add(time.Minute)
		}
		if got := w.opens(from); !got.Equal(want) {
			t.Fatalf("it opens at %s, want %s", got.In(zone), want.In(zone))
		}
	})
}

// shows is whether the clock shows a time of the window.
func shows(w Window, t time.Time) bool {
	text := t.In(w.Zone).Format("15:04")
	clock := func(d time.Duration) string { return time.Time{}.Add(d).Format("15:04") }
	end := clock(w.End)
	if w.End == 24*time.Hour {
		end = "24:00"
	}
	return w.Days[t.In(w.Zone).Weekday()] && clock(w.Start) <= text && text < end
}
