package deadline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/internal/deadline"
)

// late is a context whose time is up, and whose timer has not fired yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

func TestErr(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	bounded, release := context.WithTimeout(t.Context(), time.Hour)
	defer release()
	for name, tc := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"without a deadline":                 {t.Context(), nil},
		"before its deadline":                {bounded, nil},
		"cancelled":                          {cancelled, context.Canceled},
		"over, and its timer has not fired":  {late{t.Context()}, context.DeadlineExceeded},
		"cancelled, and over after that too": {late{cancelled}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			if got := deadline.Err(tc.ctx); !errors.Is(got, tc.want) {
				t.Errorf("Err = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestEarlier(t *testing.T) {
	var none time.Time
	noon := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	one := noon.Add(time.Hour)
	for _, tc := range []struct{ a, b, want time.Time }{
		{none, none, none}, {none, noon, noon}, {noon, none, noon}, {noon, one, noon}, {one, noon, noon}, {noon, noon, noon},
	} {
		if got := deadline.Earlier(tc.a, tc.b); !got.Equal(tc.want) {
			t.Errorf("the earlier of %v and %v is %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
