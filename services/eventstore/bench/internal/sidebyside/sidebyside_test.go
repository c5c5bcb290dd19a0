package sidebyside

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// scripted is a contender whose slices give these values, the first to warm up.
func scripted(name string, values ...float64) Contender {
	return Contender{Name: name, Sync: "at once", Run: func(context.Context) (float64, error) {
		value := values[0]
		values = values[1:]
		return value, nil
	}}
}

func TestRunComparesRoundByRound(t *testing.T) {
	m := Measure{
		Name: "speed", Unit: "events/s",
		Contenders: []Contender{
			scripted("ours", 1e6, 3000, 1500, 6000),
			scripted("theirs", 1, 1000, 500, 2000),
			{Name: "missing", Absent: "not installed", Run: func(context.Context) (float64, error) {
				t.Error("a contender that is absent was run")
				return 0, nil
			}},
		},
		Pairs: []Pair{
			{Of: "ours", To: "theirs", Goal: Goal{AtLeast: 2.5}},
			{Of: "theirs", To: "ours", Goal: Goal{AtLeast: 1}},
			{Of: "theirs", To: "ours", Goal: Goal{AtMost: 0.5}},
			{Of: "ours", To: "missing", Goal: Goal{AtLeast: 9}},
			{Of: "ours", To: "theirs"},
			{Of: "ours", Goal: Goal{AtMost: 2000}},
		},
	}
	result, err := m.Run(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	third := 1.0 / 3
	want := []Ratio{
		{Of: "ours", To: "theirs", Goal: Goal{AtLeast: 2.5}, Quartiles: Quartiles{3, 3, 3}, Verdict: Met},
		{Of: "theirs", To: "ours", Goal: Goal{AtLeast: 1}, Quartiles: Quartiles{third, third, third}, Verdict: Missed},
		{Of: "theirs", To: "ours", Goal: Goal{AtMost: 0.5}, Quartiles: Quartiles{third, third, third}, Verdict: Met},
		{Of: "ours", To: "missing", Goal: Goal{AtLeast: 9}, Absent: "not installed"},
		{Of: "ours", To: "theirs", Quartiles: Quartiles{3, 3, 3}},
		{Of: "ours", Goal: Goal{AtMost: 2000}, Quartiles: Quartiles{2250, 3000, 4500}, Verdict: Missed},
	}
	for i, ratio := range result.Ratios {
		if ratio != want[i] {
			t.Errorf("ratio %d is %+v, want %+v", i, ratio, want[i])
		}
	}
	wantLines(t, result, `speed, events/s
contender median quartiles idle durable when it answers
ours 3,000 2,250 – 4,500 at once
theirs 1,000 750 – 1,500 at once
missing not installed
ratio median quartiles goal
ours / theirs 3.00 3.00 – 3.00 ≥ 2.50 met
theirs / ours 0.333 0.333 – 0.333 ≥ 1.00 not met
theirs / ours 0.333 0.333 – 0.333 ≤ 0.50 met
ours / missing not installed ≥ 9.00
ours / theirs 3.00 3.00 – 3.00
ours 3000.0 2250.0 – 4500.0 ≤ 2000.00 not met`)
}

// wantLines compares a table but for its spaces and the machine's idle share.
func wantLines(t *testing.T, result Result, want string) {
	t.Helper()
	var text strings.Builder
	if err := result.Write(&text); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(text.String()) {
		words := strings.Fields(line)
		for i, word := range words {
			if strings.HasSuffix(word, "%") {
				words = append(words[:i:i], words[i+1:]...)
				break
			}
		}
		if len(words) > 0 {
			got = append(got, strings.Join(words, " "))
		}
	}
	if got := strings.Join(got, "\n"); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestRunEndsWithAFault(t *testing.T) {
	fault := errors.New("disk full")
	m := Measure{Name: "speed", Contenders: []Contender{{Name: "ours", Run: func(context.Context) (float64, error) { return 0, fault }}}}
	_, err := m.Run(t.Context(), 1)
	if !errors.Is(err, fault) || !strings.Contains(err.Error(), "speed: ours") {
		t.Errorf("failed with %v, want %v of speed: ours", err, fault)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := Measure{Contenders: []Contender{{Name: "ours", Run: func(context.Context) (float64, error) {
		cancel()
		return 1, nil
	}}}}
	if _, err := m.Run(ctx, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("failed with %v, want %v", err, context.Canceled)
	}
}

func TestTimes(t *testing.T) {
	for ratio, want := range map[float64]string{0.7971: "0.797", 1: "1.00", 5.678: "5.68", 20.04: "20.0"} {
		if got := times(ratio); got != want {
			t.Errorf("%v is written %q, want %q", ratio, got, want)
		}
	}
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{0.1234: "0.123", 12.34: "12.3", 999: "999", 1000: "1,000", 123456.7: "123,457", 1234567: "1,234,567"} {
		if got := figure(value); got != want {
			t.Errorf("%v is written %q, want %q", value, got, want)
		}
	}
}
