package migrate

import (
	"errors"
	"testing"
)

// What was missed is looked after once, whenever the store was lost: before a
// heartbeat, during one that arrives all the same, or while it is looked after.
func TestWhatMayHaveBeenMissedIsLookedAfter(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		before func(*environment)
		during func(*environment) error
		want   bool // something is left to look after
	}{
		"nothing was lost since":            {func(*environment) {}, nil, false},
		"it was lost during a heartbeat":    {func(e *environment) { e.lost(); e.heard = true }, func(*environment) error { return nil }, false},
		"it is lost while it is settled":    {(*environment).lost, func(e *environment) error { e.lost(); return nil }, true},
		"to look after it fails":            {(*environment).lost, func(*environment) error { return broken }, true},
		"what was lost at first is settled": {(*environment).lost, func(*environment) error { return nil }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := &environment{}
			tc.before(e)
			looked := false
			settled, err := e.settle(func() error { looked = true; return tc.during(e) })
			if looked != (tc.during != nil) || settled != (looked && err == nil) {
				t.Errorf("looked after: %t, settled: %t (%v)", looked, settled, err)
			}
			if e.owing != tc.want {
				t.Errorf("it owes a look: %t, want %t", e.owing, tc.want)
			}
		})
	}
}
