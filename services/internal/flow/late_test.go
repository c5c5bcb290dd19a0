package flow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/flow"
)

func TestLateCausesExpireOrCollapseAsDeclared(t *testing.T) {
	tests := map[string]struct {
		do   flow.Lateness
		want func(ids []string) []string
	}{
		"run": {flow.RunLate, func(ids []string) []string {
			return []string{"answer to " + ids[0], "answer to " + ids[1], "answer to " + ids[2]}
		}},
		"expire": {flow.ExpireLate, func(ids []string) []string {
			return []string{"none (came 2h0m0s after it happened) to " + ids[0], "none (came 1h59m0s after it happened) to " + ids[1], "answer to " + ids[2]}
		}},
		"collapse": {flow.CollapseLate, func(ids []string) []string {
			return []string{
				"none (a later one of its key was answered instead) to " + ids[0],
				"none (a later one of its key was answered instead) to " + ids[1], "answer to " + ids[2],
			}
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.late = flow.LatePolicy{Do: tc.do, After: time.Hour}
				w.start()
				w.quiet()
				ids := []string{w.produce("r").String()}
				w.pass(time.Minute)
				ids = append(ids, w.produce("r").String())
				w.pass(time.Hour + 58*time.Minute)
				ids = append(ids, w.produce("r").String())
				w.pass(2 * time.Minute)
				if diff := cmp.Diff(tc.want(ids), w.answered("r")); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What waits as the last of its key has been taken in, and can't be parked any
// more when it turns out that it can't be answered.
func TestALateCauseThatCantBeAnsweredIsDeclined(t *testing.T) {
	inBubble(t, func(w *world) {
		w.noTables, w.late = true, flow.LatePolicy{Do: flow.CollapseLate, After: time.Minute}
		w.start()
		w.quiet()
		bad := w.produce("r")
		w.rotten = func(id uuid.UUID) error {
			if id == bad {
				return flow.Unprocessable(errors.New("no such kind"))
			}
			return nil
		}
		good := w.produce("s").String()
		w.pass(3 * time.Hour)
		want := []string{"none (the event can't be taken in: no such kind) to " + bad.String()}
		if diff := cmp.Diff(want, w.answered("r")); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"answer to " + good}, w.answered("s")); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if state := w.rt.Intake(tested).State(); state.Err != nil || state.Parked != 0 {
			t.Errorf("the flow has parked %d, and stands with %v", state.Parked, state.Err)
		}
	})
}

func TestCollapsedCausesOfAWindowAreAnsweredAtItsMarker(t *testing.T) {
	inBubble(t, func(w *world) {
		w.late = flow.LatePolicy{Do: flow.CollapseLate, After: time.Minute}
		w.start()
		w.quiet()
		first, last := w.produce("r").String(), w.produce("r").String()
		other := w.produce("s").String()
		w.pass(3 * time.Hour)
		want := []string{"none (a later one of its key was answered instead) to " + first, "answer to " + last}
		if diff := cmp.Diff(want, w.answered("r")); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"answer to " + other}, w.answered("s")); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}
