package persistent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLatenciesOfTheLastAnswers(t *testing.T) {
	var l latencies
	if figures := l.measure(); figures != nil {
		t.Errorf("%v of nothing", figures)
	}
	for range keptLatencies / 2 {
		l.add(time.Hour) // is forgotten
	}
	for i := range keptLatencies {
		l.add(time.Duration(i) * time.Millisecond)
	}
	want := []Measurement{
		{"Mean", 499500 * time.Microsecond},
		{"Fastest", 0},
		{"Median", 499 * time.Millisecond},
		{"90%", 899 * time.Millisecond},
		{"95%", 949 * time.Millisecond},
		{"99%", 989 * time.Millisecond},
		{"99.9%", 998 * time.Millisecond},
		{"Highest", 999 * time.Millisecond},
	}
	if diff := cmp.Diff(want, l.measure()); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}
