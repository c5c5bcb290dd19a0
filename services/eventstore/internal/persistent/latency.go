package persistent

import (
	"slices"
	"time"
)

// Measurement is a figure about how long consumers take.
type Measurement struct {
	Key   string
	Value time.Duration
}

// keptLatencies is how many of a consumer's last answers are measured.
const keptLatencies = 1000

// latencies are how long a consumer took for its last events.
type latencies struct {
	last []time.Duration
	next int // the oldest one, when there are as many as are kept
}

func (l *latencies) add(d time.Duration) {
	if len(l.last) < keptLatencies {
		l.last = append(l.last, d)
		return
	}
	l.last[l.next] = d
	l.next = (l.next + 1) % keptLatencies
}

// measure returns the figures, none when there was no answer yet.
func (l *latencies) measure() []Measurement {
	if len(l.last) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(l.last))
	var sum time.Duration
	for _, d := range sorted {
		sum += d
	}
	figures := []Measurement{{"Mean", sum / time.Duration(len(sorted))}}
	for _, quantile := range []struct {
		key string
		per int // thousand
	}{{"Fastest", 0}, {"Median", 500}, {"90%", 900}, {"95%", 950}, {"99%", 990}, {"99.9%", 999}, {"Highest", 1000}} {
		figures = append(figures, Measurement{quantile.key, sorted[(len(sorted)-1)*quantile.per/1000]})
	}
	return figures
}
