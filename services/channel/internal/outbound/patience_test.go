package outbound

import (
	"slices"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

func TestASenderLooksMoreRarelyForWhatDoesNotMove(t *testing.T) {
	var s Sender
	there, further := eventlog.Position{Commit: 1}, eventlog.Position{Commit: 2}
	var pauses []time.Duration
	for _, passed := range []eventlog.Position{{}, {}, there, there, there, there, there, there, there, there, further, further} {
		pauses = append(pauses, s.patience(passed)/time.Second)
	}
	if want := []time.Duration{1, 2, 1, 2, 4, 8, 16, 32, 60, 60, 1, 2}; !slices.Equal(pauses, want) {
		t.Errorf("the pauses are %d seconds, want %d", pauses, want)
	}
}
