package flow

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

var dawn = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// numbered is an event that stands in the log at n, and was written n seconds
// after dawn.
func numbered(n uint64) eventlog.Event {
	return eventlog.Event{Position: eventlog.Position{Commit: n}, Created: dawn.Add(time.Duration(n) * time.Second)}
}

// The twin remembers nothing but the numbers: who waits is after the checkpoint
// and not after what the meter has seen. Up to spansKept the backlog says the
// same; beyond, it errs by less than its first span, and on the side of too much.
func TestABacklogIsRightOrErrsOnTheSideOfTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b backlog
		var met, taken uint64
		exact := true // no more than spansKept have waited since none did
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "meets more") {
				for range rapid.IntRange(1, 5*spansKept).Draw(t, "how many") {
					met++
					b.add(numbered(met))
				}
			} else {
				// The intake may well be ahead of the meter.
				taken = rapid.Uint64Range(taken, max(met, taken)+uint64(rapid.IntRange(0, 3).Draw(t, "ahead"))).Draw(t, "taken")
				b.drop(eventlog.Position{Commit: taken})
			}
			waiting := met - min(met, taken)
			exact = waiting <= spansKept && (exact || waiting == 0)
			checkBacklog(t, b, waiting, taken, exact)
		}
	})
}

func checkBacklog(t *rapid.T, b backlog, waiting, taken uint64, exact bool) {
	t.Helper()
	if waiting == 0 {
		if b.events != 0 || !b.oldest().IsZero() {
			t.Fatalf("none waits, the backlog says %d since %v", b.events, b.oldest())
		}
		return
	}
	oldest := numbered(taken + 1).Created
	if b.events < waiting || b.oldest().After(oldest) {
		t.Fatalf("%d wait since %v, the backlog says less: %d since %v", waiting, oldest, b.events, b.oldest())
	}
	if b.events-waiting >= b.spans[0].events {
		t.Fatalf("%d wait, the backlog says %d: it errs by more than a span of %d", waiting, b.events, b.spans[0].events)
	}
	if exact && (b.events != waiting || !b.oldest().Equal(oldest)) {
		t.Fatalf("%d wait since %v, the backlog says %d since %v", waiting, oldest, b.events, b.oldest())
	}
	if len(b.spans) > spansKept {
		t.Fatalf("the backlog holds %d spans, want at most %d", len(b.spans), spansKept)
	}
}

// Behind a gate that has been closed for a week five million may wait.
func TestABacklogOfMillionsIsSmallAndEmptiesExactly(t *testing.T) {
	const many = 5_000_000
	var b backlog
	for n := uint64(1); n <= many; n++ {
		b.add(numbered(n))
	}
	if b.events != many || !b.oldest().Equal(numbered(1).Created) || cap(b.spans) > 2*spansKept {
		t.Errorf("%d wait since %v, in %d spans", b.events, b.oldest(), cap(b.spans))
	}
	b.drop(eventlog.Position{Commit: many / 2})
	if off := int64(b.events) - many/2; off < 0 || off > many/spansKept*4 {
		t.Errorf("of %d half is taken in, %d wait", many, b.events)
	}
	b.drop(eventlog.Position{Commit: many - 1})
	if b.events == 0 {
		t.Error("one waits, the backlog says none does")
	}
	b.drop(eventlog.Position{Commit: many})
	b.add(numbered(many + 1))
	if b.events != 1 || !b.oldest().Equal(numbered(many+1).Created) {
		t.Errorf("one waits, the backlog says %d since %v", b.events, b.oldest())
	}
}
