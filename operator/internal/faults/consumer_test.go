package faults_test

import (
	"testing"
)

// A consumer that dies, or stands still and is replaced, at whatever point of a
// migration: the flow comes to where its plan wants it all the same.
func TestAConsumerFailsWhileItsFlowIsMoved(t *testing.T) {
	type failure struct {
		name  string
		until func(*world) // the moment
		fail  func(*world)
	}
	var all []failure
	for _, p := range points {
		at := func(w *world) { w.approve(); w.reach(p) }
		all = append(
			all,
			failure{"is killed at " + p.String(), at, (*world).killConsumer},
			failure{"stands still at " + p.String(), at, (*world).freezeConsumer},
		)
	}
	all = append(
		all,
		failure{"is killed before it has seen a request", (*world).unseen, (*world).killConsumer},
		failure{"stands still before it has seen a request", (*world).unseen, (*world).freezeConsumer},
		failure{"is killed when it has drained and not told", (*world).untold, (*world).killConsumer},
		failure{"stands still when it has drained and not told", (*world).untold, (*world).freezeConsumer},
	)
	for _, tc := range chosen(t, 3, all) {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.operate("operator")
			w.create(w.migration())
			tc.until(w)
			tc.fail(w)
			w.arrives()
		})
	}
}

// unseen is when the last step is asked for, and the consumer does not know.
func (w *world) unseen() {
	w.reach(point{kind: "ApprovalAwaited"})
	w.toConsumer.swallow()
	w.approve()
	w.reach(point{"CadenceRequested", "4"})
	if epoch := w.consumed(); epoch != 3 {
		w.Errorf("the consumer is in epoch %d, want 3", epoch)
	}
}

// untold is when the consumer has taken in the last of an epoch, and can tell nobody.
func (w *world) untold() {
	w.reach(point{kind: "ApprovalAwaited"})
	w.toConsumer.silence("flow.CadenceAdopted")
	w.approve()
	w.await("what the consumer has to tell", w.toConsumer.isSilent)
	if epoch := w.consumed(); epoch != 4 {
		w.Errorf("the consumer is in epoch %d, want 4", epoch)
	}
	if adopted := w.journal.epochs("CadenceAdopted"); len(adopted) != 2 {
		w.Errorf("adopted are %v, want that nobody knows of epoch 4", adopted)
	}
}

// killConsumer kills the consumer, and starts it again.
func (w *world) killConsumer() {
	w.marketing.kill()
	w.toConsumer.mend()
	w.marketing.start()
	w.await("the consumer again", w.marketing.isReady)
}

// freezeConsumer has the consumer stand still until another process has taken its
// database over; then it goes on, finds that out, and ends. One that stands still
// within a transaction lets nobody in: then it goes on before it is replaced.
func (w *world) freezeConsumer() {
	frozen := w.marketing
	frozen.freeze()
	w.toConsumer.mend()
	w.marketing = w.replica()
	w.await("another process of the consumer", func() bool { return w.marketing.isReady() || w.marketing.hasEnded() })
	frozen.thaw()
	if w.marketing.hasEnded() {
		w.Log("it stood still within a transaction")
		w.marketing.start()
		w.await("another process of the consumer", w.marketing.isReady)
	}
	w.await("the end of the one that was replaced", frozen.hasEnded)
	if frozen.err == nil {
		w.Error("the one that was replaced ended as if all were well")
	}
}
