package faults_test

import "testing"

// A consumer that dies, or stands still and is replaced, at whatever point of a
// migration: the flow comes to where its plan wants it all the same.
func TestAConsumerFailsWhileItsFlowIsMoved(t *testing.T) {
	t.Parallel()
	type moment struct {
		name  string
		await func(*world)
	}
	moments := []moment{{"before it has seen a request", (*world).unseen}, {"when it has drained and not told", (*world).untold}}
	for _, p := range points {
		moments = append(moments, moment{"at " + p.String(), func(w *world) { w.approve(); w.reach(p) }})
	}
	for salt, failure := range []struct {
		name string
		fail func(*world)
	}{{"is killed", (*world).killConsumer}, {"stands still", (*world).freezeConsumer}} {
		for _, m := range chosen(t, uint64(salt), moments) {
			t.Run(failure.name+" "+m.name, func(t *testing.T) {
				w := newWorld(t)
				w.operate("operator")
				w.create(w.migration())
				m.await(w)
				failure.fail(w)
				w.arrives()
			})
		}
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
