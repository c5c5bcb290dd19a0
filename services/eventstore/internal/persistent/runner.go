package persistent

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// ErrDropped is what a consumer ends with when its group was updated, deleted
// or restarted, or when it asked to be stopped.
var ErrDropped = errors.New("the persistent subscription dropped its consumer")

// runner runs a group: one goroutine reads and writes for it, its consumers'
// own ones bring their answers.
type runner struct {
	records
	source  *reader
	parked  *reader
	started time.Time

	mu          sync.Mutex
	group       *Group
	connections []*Connection
	written     Place // the last checkpoint in the store, Nowhere when there is none
	err         error // why it ended

	unparked Place         // what the parked stream is cut behind; the goroutine's own
	wake     chan struct{} // something has changed
	over     chan struct{} // closed when err holds
	ended    chan struct{} // closed when the goroutine has ended
}

func newRunner(store *storage.Store, definition *Definition, view *storage.View) (*runner, error) {
	source, err := newReader(definition)
	if err != nil {
		return nil, err
	}
	r := &runner{
		records: records{store: store, Definition: definition},
		source:  source, parked: parkedReader(definition),
		started: time.Now(),
		wake:    make(chan struct{}, 1), over: make(chan struct{}), ended: make(chan struct{}),
	}
	processed, written, err := r.checkpoint(view)
	if err != nil {
		return nil, err
	}
	first, _, err := r.parkedRange(view)
	if err != nil {
		return nil, err
	}
	r.written, r.unparked = written, first
	r.group = NewGroup(definition.Settings, processed, first-1, r.started)
	go r.run()
	return r, nil
}

func (r *runner) run() {
	defer close(r.ended)
	for {
		changed, err := r.step()
		if err != nil {
			r.finish(fmt.Errorf("the persistent subscription %s: %w", r.Key, err))
		}
		if !r.wait(changed) {
			return
		}
	}
}

// finish ends the group and its consumers, once: the first reason stands.
func (r *runner) finish(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = reason
	close(r.over)
	for _, c := range r.connections {
		c.drop(reason)
	}
}

// stop ends the group for a reason and returns when its goroutine has ended.
func (r *runner) stop(reason error) {
	r.finish(reason)
	<-r.ended
}

// flush writes down how far the group, which was stopped, has come.
func (r *runner) flush() error {
	r.mu.Lock()
	at, ok := r.group.Progress()
	r.mu.Unlock()
	if ok {
		return r.writeCheckpoint(at)
	}
	return nil
}

func (r *runner) failed() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// wait returns when there may be something to do; false says that it is over.
func (r *runner) wait(changed <-chan struct{}) bool {
	r.mu.Lock()
	next, ok := r.group.Next()
	r.mu.Unlock()
	var due <-chan time.Time
	if ok {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-r.over:
		return false
	case <-r.wake:
	case <-changed:
	case <-due:
	}
	return !r.failed()
}

// apply changes the group and tells the consumers that have got something.
func (r *runner) apply(change func(*Group, time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change(change)
}

// answered is apply for what comes from outside of the goroutine. Once the
// group is over it changes nothing.
func (r *runner) answered(change func(*Group, time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.change(change)
		signal(r.wake)
	}
}

func (r *runner) change(change func(*Group, time.Time)) {
	change(r.group, time.Now())
	for _, c := range r.connections {
		if len(c.consumer.assigned) > 0 {
			signal(c.ready)
		}
	}
}

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // it knows already
	}
}

// step does what is to be done now. When all that is left is to wait for new
// events, changed tells of them.
func (r *runner) step() (changed <-chan struct{}, err error) {
	r.apply((*Group).Tick)
	for _, write := range []func() error{r.writeParked, r.writeUnparked, r.writeProgress} {
		if err := write(); err != nil {
			return nil, err
		}
	}
	return r.read()
}

func (r *runner) writeParked() error {
	r.mu.Lock()
	unwanted := r.group.Parking()
	r.mu.Unlock()
	if len(unwanted) == 0 {
		return nil
	}
	if err := r.park(unwanted, time.Now()); err != nil {
		return err
	}
	r.apply(func(g *Group, _ time.Time) { g.Parked(len(unwanted)) })
	return nil
}

// writeUnparked cuts the parked stream behind what was replayed and processed,
// not before: until then an event would be lost with the process.
func (r *runner) writeUnparked() error {
	r.mu.Lock()
	first := r.group.Replayed() + 1
	r.mu.Unlock()
	if first <= r.unparked {
		return nil
	}
	view, err := r.store.View()
	if err != nil {
		return err
	}
	defer view.Release()
	if err := r.unpark(view, first); err != nil {
		return err
	}
	r.unparked = first
	return nil
}

func (r *runner) writeProgress() error {
	r.mu.Lock()
	at, due := r.group.Checkpoint(time.Now())
	r.mu.Unlock()
	if !due {
		return nil
	}
	if err := r.writeCheckpoint(at); err != nil {
		return err
	}
	r.mu.Lock()
	r.written = at
	r.mu.Unlock()
	return nil
}

// wish is what a group can take.
type wish struct {
	after         Place // of the source
	n             int
	parkedAfter   Place
	parkedBefore  Place
	parkedMessage int
}

func (r *runner) wish() (w wish) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.after, w.n = r.group.Read(), r.group.Room()
	w.parkedAfter, w.parkedBefore, w.parkedMessage = r.group.Replaying()
	return w
}

// read fills the group until it is full or has everything that there is.
func (r *runner) read() (changed <-chan struct{}, err error) {
	for !r.failed() {
		w := r.wish()
		if w.n == 0 && w.parkedMessage == 0 {
			return nil, nil
		}
		more, changed, err := r.readPages(w)
		if err != nil {
			return nil, err
		}
		if !more {
			return changed, nil
		}
	}
	return nil, nil
}

func (r *runner) readPages(w wish) (more bool, changed <-chan struct{}, err error) {
	view, err := r.store.View()
	if err != nil {
		return false, nil, err
	}
	defer view.Release()
	if w.parkedMessage > 0 {
		page, err := r.parked.read(view, w.parkedAfter, w.parkedBefore, w.parkedMessage)
		if err != nil {
			return false, nil, err
		}
		r.apply(func(g *Group, now time.Time) { g.PushReplay(page, now) })
		return true, nil, nil
	}
	page, err := r.source.read(view, w.after, end, w.n)
	if err != nil {
		return false, nil, err
	}
	r.apply(func(g *Group, now time.Time) { g.Push(page, now) })
	return !page.End, view.Changed(), nil
}
