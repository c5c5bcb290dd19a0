package faults_test

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Somebody applies the same spec over and over, as such programs do, all the time
// while the flow is moved, and goes on when it has arrived. Nothing is done twice,
// nobody takes back what the other has written, and an operator that has nothing to
// do writes nothing.
func TestASpecIsAppliedAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	o := w.operate("operator")
	applied := w.keepApplying()
	w.approve()
	w.arrives()
	written := o.writes.of("informationflows/facts")
	steps := len(w.journal.of("CadenceRequested"))
	if most := 8 * steps; len(written) > most {
		t.Errorf("the operator has written the status %d times in %d steps, want %d at most", len(written), steps, most)
	}
	version, before := w.now().ResourceVersion, applied()
	w.await("a hundred times more", func() bool { return applied() > before+100 })
	if more := o.writes.of("informationflows/facts")[len(written):]; len(more) > 0 {
		t.Errorf("in peace the operator has written %v", more)
	}
	if now := w.now(); now.ResourceVersion != version || now.Generation != 1 {
		t.Errorf("it is version %s of generation %d, and was %s of 1", now.ResourceVersion, now.Generation, version)
	}
	for range 50 {
		w.note()
	}
	w.looksAgain()
	if more := o.writes.of("informationflows/facts")[len(written):]; len(more) > 0 {
		t.Errorf("for a note on the object the operator has written %v", more)
	}
	t.Logf("applied %d times; the operator has written the status %d times in %d steps", applied(), len(written), steps)
}

// note notes on the object when it was applied last, which has the operator look.
func (w *world) note() {
	w.Helper()
	object := w.now()
	before := object.DeepCopy()
	object.Annotations = map[string]string{"delivered-at": time.Now().Format(time.RFC3339Nano)}
	if err := w.client.Patch(w.Context(), object, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// keepApplying applies the migration, again and again, until the test ends, and
// returns how often it has.
func (w *world) keepApplying() (times func() int) {
	w.Helper()
	wanted, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.migration())
	if err != nil {
		w.Fatal(err)
	}
	delete(wanted, "status")
	apply := func(ctx context.Context) error {
		object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(wanted)}
		return w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("delivery"), client.ForceOwnership)
	}
	if err := apply(w.Context()); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended, count := make(chan error, 1), make(chan int, 1)
	count <- 1
	go func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				ended <- nil
				return
			case <-tick.C:
			}
			if err := apply(ctx); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
			count <- <-count + 1
		}
	}()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("it can't be applied any more: %v", err)
		}
	})
	return func() int {
		n := <-count
		count <- n
		return n
	}
}
