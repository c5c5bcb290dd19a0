package audit

import (
	"slices"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Epoch is a stretch of the log that a flow takes in under one cadence: what
// comes after After, up to Until.
type Epoch struct {
	Number       uint64
	After, Until eventlog.Position
	// Ended tells that a marker ends it; else Until is the last place there may be.
	Ended bool
}

// Marker is a request for an epoch, where it stands in the log.
type Marker struct {
	Epoch    uint64
	Position eventlog.Position
}

// End is behind every place in the log.
var End = eventlog.Position{Commit: 1<<63 - 1, Prepare: 1<<63 - 1}

// Epochs returns the epochs that the markers of a control stream make, by the log
// alone. A request for an epoch that has been is out of date.
func Epochs(markers []Marker) []Epoch {
	all := []Epoch{{Number: 1, Until: End}}
	for _, m := range markers {
		last := &all[len(all)-1]
		if m.Epoch <= last.Number {
			continue
		}
		last.Until, last.Ended = m.Position, true
		all = append(all, Epoch{Number: m.Epoch, After: m.Position, Until: End})
	}
	return all
}

// has tells whether a place belongs to the epoch.
func (e Epoch) has(p eventlog.Position) bool {
	return e.After.Compare(p) < 0 && p.Compare(e.Until) <= 0
}

// Find returns the epoch of a number.
func Find(epochs []Epoch, number uint64) (Epoch, bool) {
	i := slices.IndexFunc(epochs, func(e Epoch) bool { return e.Number == number })
	if i < 0 {
		return Epoch{}, false
	}
	return epochs[i], true
}

// Range is a part of the log, both ends included.
type Range struct{ From, To eventlog.Position }

func (r Range) has(p eventlog.Position) bool {
	return r.From.Compare(p) <= 0 && p.Compare(r.To) <= 0
}

// touch returns the epochs that a range touches.
func (r Range) touch(epochs []Epoch) (touched []Epoch) {
	for _, e := range epochs {
		if e.After.Compare(r.To) < 0 && r.From.Compare(e.Until) <= 0 {
			touched = append(touched, e)
		}
	}
	return touched
}
