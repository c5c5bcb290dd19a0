package control

import (
	"context"
	"fmt"
	"slices"
	"sort"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
)

// window is a window that the consumer says it has closed, and how many events the
// log has for it.
type window struct {
	told         *flowv1.WindowClosed
	after, until Position
	count        uint64
}

// windowsOf reads the windows that were closed in the epochs of an audit, up to
// where the flow had come.
func (f *Flows) windowsOf(ctx context.Context, name string, scope audit.Scope, at Position) (all []*window, err error) {
	for _, epoch := range scope.Epochs {
		after, stream := epoch.After, fmt.Sprintf("%s:%d", flows.ControlStream(name), epoch.Number)
		var closed []*window
		err := f.read(ctx, stream, eventlog.Forward, 0, 0, func(e codec.Event) {
			m, ok := e.Message.(*flowv1.WindowClosed)
			if ok && audit.Place(m.GetPosition()).Compare(at) <= 0 {
				closed = append(closed, &window{told: m, until: audit.Place(m.GetPosition())})
			}
		})
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(closed, func(a, b *window) int { return a.until.Compare(b.until) })
		for _, w := range closed {
			w.after, after = after, w.until
		}
		all = append(all, closed...)
	}
	return all, nil
}

// countInWindow counts an event of the log in the window that it belongs to.
func (b *balance) countInWindow(e audit.Event) {
	i := sort.Search(len(b.windows), func(i int) bool { return e.Position.Compare(b.windows[i].until) <= 0 })
	if i == len(b.windows) || e.Position.Compare(b.windows[i].after) <= 0 {
		return // of no window, or of one that is not over
	}
	if audit.Due(b.steering.Versions, e.Type, e.Position) {
		b.windows[i].count++
	}
}

// compareWindows holds what the consumer said when it closed windows against the
// log.
func (b *balance) compareWindows() {
	const told = 3
	wrong := 0
	for _, w := range b.windows {
		if w.told.GetCount() == w.count {
			continue
		}
		if wrong++; wrong <= told {
			b.contradict("the window that closed at %s took in %d events by the consumer's word, the log has %d", w.until, w.told.GetCount(), w.count)
		}
	}
	if wrong > told {
		b.contradict("%d more windows closed with another number of events than the log has", wrong-told)
	}
}
