package flow

import (
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
)

// opening is what a gate does next.
type opening int

const (
	stayClosed   opening = iota // until the time, or until somebody asks
	openForGood                 // take in events as they come
	openToMarker                // set a marker, and take in up to it
)

// decideGate tells what the gate of a flow does at now, and until when when it
// stays closed (the zero time: until somebody asks). lastDue is when the last
// window that was taken in had been due, or when the epoch began. Windows that
// were missed fold into the last one that was due. It is pure.
func decideGate(cadence flows.Cadence, lastDue, now time.Time) (do opening, at time.Time) {
	if cadence.IsRealTime() {
		return openForGood, time.Time{}
	}
	if !cadence.IsPeriodic() {
		return stayClosed, time.Time{}
	}
	if due := cadence.LastDue(now); due.After(lastDue) {
		return openToMarker, due
	}
	return stayClosed, cadence.Next(now)
}
