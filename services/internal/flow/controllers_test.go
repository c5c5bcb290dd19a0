package flow_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
)

// Of several controllers that all want to begin the same epoch one wins, whatever
// they want; the others are told.
func TestOneControllerBeginsAnEpoch(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.quiet()
		wishes := []string{flows.RealTime, flows.Hourly, flows.Weekly, flows.Paused, flows.Daily}
		for epoch := uint64(2); epoch < 6; epoch++ {
			var won, refused atomic.Int64
			var controllers sync.WaitGroup
			for _, cadence := range wishes {
				controllers.Go(func() {
					_, err := w.flows.Begin(w.t.Context(), tested, epoch, cadence, "a controller", "to be first")
					switch {
					case err == nil:
						won.Add(1)
					case errors.Is(err, control.ErrEpoch):
						refused.Add(1)
					default:
						t.Errorf("epoch %d: %v", epoch, err)
					}
				})
			}
			controllers.Wait()
			if won.Load() != 1 || int(refused.Load()) != len(wishes)-1 {
				t.Errorf("epoch %d: %d won, %d were refused; want one winner", epoch, won.Load(), refused.Load())
			}
			w.quiet()
			state, err := w.flows.Get(w.t.Context(), tested)
			if err != nil || state.Epoch != epoch || !state.Settled() {
				t.Errorf("the flow is in epoch %d of %d (%v), want %d", state.Epoch, state.RequestedEpoch, err, epoch)
			}
		}
		for _, epoch := range []uint64{0, 1, 5, 7} {
			if _, err := w.flows.Begin(w.t.Context(), tested, epoch, flows.RealTime, "a controller", "too early, or too late"); !errors.Is(err, control.ErrEpoch) {
				t.Errorf("epoch %d: got %v, want ErrEpoch", epoch, err)
			}
		}
	})
}
