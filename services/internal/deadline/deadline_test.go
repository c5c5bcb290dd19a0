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
