package contract_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// A new type is rolled out: the reader, the writer, the third service; old images
// leave, or are killed.
func TestATypeIsActivatedOnceEveryReplicaReadsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		refused := func(reasons ...string) {
			t.Helper()
			_, err := w.control.Activate(t.Context(), gated, "me", "")
			if !errors.Is(err, control.ErrNotRead) {
				t.Fatalf("activate: %v, want ErrNotRead", err)
			}
			for _, reason := range reasons {
				if !strings.Contains(err.Error(), reason) {
					t.Errorf("the refusal does not name %q: %v", reason, err)
				}
			}
		}
		if _, err := w.control.Activate(t.Context(), gated, "me", ""); !errors.Is(err, control.ErrUnknownType) {
			t.Errorf("on an empty store: %v, want ErrUnknownType", err)
		}
		channel, sales, marketing := w.run(build(flows.Channel, "older")), w.run(build(flows.Sales, "older")), w.run(build(flows.Marketing, "older"))
		synctest.Wait()
		if _, err := w.control.Activate(t.Context(), gated, "me", ""); !errors.Is(err, control.ErrUnknownType) {
			t.Errorf("with nobody who waits to write it: %v, want ErrUnknownType", err)
		}
		newSales := w.run(build(flows.Sales, "newer"))
		synctest.Wait()
		refused("channel ", "sales ", "marketing ")
		w.stop(sales, channel)
		newChannel, newMarketing := w.run(build(flows.Channel, "newer")), w.run(build(flows.Marketing, "newer"))
		synctest.Wait()
		refused("marketing ") // the old image runs beside the new one

		// The old image is killed: it says nothing any more, and after a while it is
		// taken to be gone.
		w.kill(marketing)
		refused("marketing ")
		<-time.After(2 * contract.RenewEvery)
		synctest.Wait()
		refused("marketing ")
		<-time.After(3 * contract.RenewEvery)
		synctest.Wait()
		if newSales.active.Active(gated) {
			t.Error("the type is active before its time")
		}
		activated, err := w.control.Activate(t.Context(), gated, "me", "all read it")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(activated.Flows, []string{"customer-facts"}) {
			t.Errorf("it is carried by %v", activated.Flows)
		}
		synctest.Wait()
		for _, r := range []*replica{newChannel, newSales, newMarketing} {
			if !r.active.Active(gated) || r.Ready(t.Context()) != nil {
				t.Error("a replica does not know that the type is active")
			}
		}
		// Once more changes nothing.
		if _, err := w.control.Activate(t.Context(), gated, "me", ""); err != nil {
			t.Error(err)
		}
		if active, _, err := contract.Activations(t.Context(), w.streams); err != nil || len(active) != 1 {
			t.Errorf("%d activations (%v), want one", len(active), err)
		}
		w.stop(newChannel, newSales, newMarketing)
	})
}

// kill ends a replica without its having said so.
func (w *world) kill(r *replica) {
	w.t.Helper()
	dead := errors.New("it is dead")
	w.fault.Store(&dead)
	r.end()
	if err := <-r.ended; err != nil {
		w.t.Logf("the replica that was killed says %v", err)
	}
	w.fault.Store(nil)
}

func TestABuildThatCannotReadWhatIsActiveIsHeld(t *testing.T) {
	activated := &flowv1.TypeActivated{Schema: gated, Flows: []string{"customer-facts"}, By: "me"}
	for name, tc := range map[string]struct{ before, held bool }{
		"at its start":  {before: true, held: true},
		"while it runs": {before: false, held: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if tc.before {
					w.activate(activated)
				}
				r := w.run(build(flows.Marketing, "older"))
				synctest.Wait()
				if !tc.before {
					if err := r.Ready(t.Context()); err != nil {
						t.Errorf("not ready before: %v", err)
					}
					w.activate(activated)
				}
				err := <-r.ended
				if !errors.Is(err, contract.ErrHeld) || !strings.Contains(err.Error(), "marketing (build older) does not read "+gated) {
					t.Errorf("it ended with %v", err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if tc.before && r.Admitted(ctx) {
					t.Error("it was admitted")
				}
				// It does not stand in anybody's way any more.
				if known, now, err := contract.Known(t.Context(), w.streams); err != nil || len(known) != 1 || !known[0].Left || now.IsZero() {
					t.Errorf("it is known as %+v (%v)", known, err)
				}
			})
		})
	}
}

// A replica whose store is away is not ready, takes nothing in, and goes on when
// the store is back.
func TestAReplicaWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		away := errors.New("the store is away")
		w.fault.Store(&away)
		r := w.run(build(flows.Sales, "newer"))
		<-time.After(10 * time.Second)
		synctest.Wait()
		if err := r.Ready(t.Context()); !errors.Is(err, away) {
			t.Errorf("ready: %v, want what is wrong", err)
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r.Admitted(soon) {
			t.Error("it was admitted")
		}
		w.fault.Store(nil)
		if !r.Admitted(t.Context()) || r.Ready(t.Context()) != nil {
			t.Error("it does not go on")
		}
		w.stop(r)
	})
}

// A contract is announced once, and the stream of replicas keeps only the last.
func TestAnnouncementsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 3 {
			r := w.run(build(flows.Sales, "newer"))
			<-time.After(100 * contract.RenewEvery)
			synctest.Wait()
			w.stop(r)
		}
		older := w.run(build(flows.Sales, "older"))
		synctest.Wait()
		w.stop(older)
		if n := w.count(flows.ContractStream(flows.Sales)); n != 2 {
			t.Errorf("%d contracts are announced, want 2", n)
		}
		if n := w.count(flows.ReplicasStream(flows.Sales)); n != 300 {
			t.Errorf("the stream of replicas keeps %d events, want the last 300", n)
		}
	})
}

func (w *world) count(stream string) (n int) {
	w.t.Helper()
	for _, err := range w.log.ReadStream(w.t.Context(), stream, eventlog.Forward, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}
