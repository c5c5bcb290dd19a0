package flow

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/internal/job"
)

// term is the time for which this replica owns the flows.
type term struct {
	ctx   context.Context // ends with it
	works sync.WaitGroup  // what runs in it by WhileOwner
}

// terms tells whether there is one.
type terms struct {
	mu      sync.Mutex
	now     *term
	changed chan struct{} // closed, and replaced, when one begins or ends
}

// look returns the present term, if any, and what is closed when that changes.
func (t *terms) look() (*term, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.changed
}

func (t *terms) set(now *term) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = now
	close(t.changed)
	t.changed = make(chan struct{})
}

// enter lets work in, unless the term has ended.
func (t *terms) enter(into *term) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != into {
		return false
	}
	into.works.Add(1)
	return true
}

// Owns tells whether this replica takes in the service's flows.
func (rt *Runtime) Owns() bool {
	now, _ := rt.terms.look()
	return now != nil
}

// WhileOwner runs work for as long as this replica owns the service's flows, and
// again whenever it does, until ctx ends: what only one replica may do, or what
// rests on what the intakes of this process have seen. It returns nil when ctx
// ends, or the error of work that ended before its context did.
func (rt *Runtime) WhileOwner(ctx context.Context, work func(context.Context) error) error {
	for {
		now, changed := rt.terms.look()
		if now != nil && rt.terms.enter(now) {
			if err := rt.inTerm(ctx, now, work); err != nil || ctx.Err() != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func (rt *Runtime) inTerm(ctx context.Context, now *term, work func(context.Context) error) error {
	defer now.works.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(now.ctx, cancel)()
	err := work(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it ended because it was told to
	}
	return err
}

// takeTurns takes in every flow whenever it is this replica's turn, and follows
// what the owner does when it is not.
func (rt *Runtime) takeTurns(ctx context.Context) error {
	for {
		l, held := rt.awaitTables(ctx)
		if !held && ctx.Err() == nil {
			l, held = rt.awaitTurn(ctx)
		}
		if !held && ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because it was told to
		}
		if !held {
			continue // the tables have been replaced
		}
		rt.Logger.Info("this replica takes in the flows")
		err := rt.own(ctx, l)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because it was told to
		}
		if !rt.DB.Shared() {
			return err
		}
		rt.Logger.Warn("another replica may take in the flows now", "reason", err.Error())
	}
}

// awaitTurn returns with the lease, or without when ctx ends, or when the tables
// have been replaced.
func (rt *Runtime) awaitTurn(ctx context.Context) (l lease, held bool) {
	l = newLease(rt.DB, rt.Lease)
	ctx = job.Named(ctx, "lease")
	if rt.isOurTurn(ctx, l) {
		return l, true
	}
	var following sync.WaitGroup
	defer following.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for name, in := range rt.intakes {
		following.Go(func() { in.standBy(job.Named(ctx, "flow "+name)) })
	}
	for sleep(ctx, l.lookEvery()) && rt.tablesReady() == nil {
		if rt.isOurTurn(ctx, l) {
			return l, true
		}
	}
	return l, false
}

// isOurTurn takes the lease when it is free. Of a database that can't be reached
// the intakes tell, who stand by meanwhile.
func (rt *Runtime) isOurTurn(ctx context.Context, l lease) bool {
	free, err := l.free(ctx)
	if err != nil || !free {
		return false
	}
	taken, err := l.take(ctx)
	return err == nil && taken
}

// own takes in the flows for as long as the lease is held. It returns nil when
// ctx has ended, else why it is held no longer.
func (rt *Runtime) own(ctx context.Context, l lease) error {
	group, owning := errgroup.WithContext(ctx)
	now := &term{ctx: owning}
	for name, in := range rt.intakes {
		group.Go(func() error { return in.run(job.Named(owning, "flow "+name), l) })
		group.Go(func() error { return rt.keepShadow(job.Named(owning, "shadow "+name), in, l) })
	}
	group.Go(func() error { return rt.deliver(job.Named(owning, "outbox")) })
	group.Go(func() error { return rt.tell(job.Named(owning, "progress")) })
	group.Go(func() error { return rt.measure(job.Named(owning, "measure"), l) })
	group.Go(func() error { return rt.purge(job.Named(owning, "purge")) })
	group.Go(func() error { return rt.audits(job.Named(owning, "audits")) })
	group.Go(func() error { return l.hold(job.Named(owning, "lease")) })
	rt.terms.set(now)
	err := group.Wait()
	rt.terms.set(nil)
	now.works.Wait()
	if err != nil || !rt.DB.Shared() {
		return err
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.renewEvery())
	defer cancel()
	if err := l.giveBack(leaving); err != nil {
		rt.Logger.Warn("another replica takes over later, when the lease has run out", "reason", err.Error())
	}
	return nil
}
