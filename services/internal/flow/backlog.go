package flow

import (
	"slices"
	"time"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// spansKept bounds what a backlog holds: behind a gate that is closed for a week
// millions may wait.
const spansKept = 1024

// backlog is the events that wait for a flow's intake, in the order of the log.
//
// It is exact while no more than spansKept wait. When more do, neighbours are put
// together into spans, the longer the more there are, and a span of which a part
// has been taken in counts as if none of it had: what waits then, and how long it
// has, errs by less than a span, and always on the side of too much. That nothing
// waits is exact however many there were.
type backlog struct {
	until  eventlog.Position // what has been taken in
	spans  []span
	size   uint64 // how many events go into the last span
	events uint64
	known  bool // false until everything up to now has been looked at
}

// span is a stretch of waiting events.
type span struct {
	created time.Time // of the first, by the store
	last    eventlog.Position
	events  uint64
}

// add notes an event, unless it has been taken in already: the intake may be
// ahead of the meter.
func (b *backlog) add(e eventlog.Event) {
	if e.Position.Compare(b.until) <= 0 {
		return
	}
	b.events++
	if n := len(b.spans); n > 0 && b.spans[n-1].events < b.size {
		b.spans[n-1].last = e.Position
		b.spans[n-1].events++
		return
	}
	if len(b.spans) == spansKept {
		b.merge()
	}
	b.spans = append(b.spans, span{created: e.Created, last: e.Position, events: 1})
}

// merge puts each two neighbours together, and makes spans twice as long from now
// on.
func (b *backlog) merge() {
	for i := range spansKept / 2 {
		first, second := b.spans[2*i], b.spans[2*i+1]
		b.spans[i] = span{created: first.created, last: second.last, events: first.events + second.events}
	}
	b.spans = b.spans[:spansKept/2]
	b.size = 2 * max(b.size, 1)
}

// drop lets go of what has been taken in.
func (b *backlog) drop(until eventlog.Position) {
	if until.Compare(b.until) <= 0 {
		return
	}
	b.until = until
	n := 0
	for ; n < len(b.spans) && b.spans[n].last.Compare(until) <= 0; n++ {
		b.events -= b.spans[n].events
	}
	b.spans = slices.Delete(b.spans, 0, n)
	if b.events < spansKept {
		b.size = 1
	}
}

// oldest is when the oldest one was written; the zero time when none waits.
func (b *backlog) oldest() time.Time {
	if len(b.spans) == 0 {
		return time.Time{}
	}
	return b.spans[0].created
}
