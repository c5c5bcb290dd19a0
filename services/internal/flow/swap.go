package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Where several replicas share a database they may be of two builds, whose tables
// are not the same. The tables are those of the build that started last:
//
//	a replica that starts     has its tables rebuilt, newer or older ones, while
//	                          the owner goes on; then it swaps them, and owns
//	a replica that runs on    and whose tables were swapped away answers no calls
//	                          and takes nothing in: it waits for its tables to
//	                          come back, with another swap
//	                          or for the owner to be gone for a whole lease; then
//	                          it has its tables rebuilt as if it had just started
//
// So each start of a process brings at most one swap, and two builds that live
// side by side, as in the middle of a rollout, do not swap back and forth. A build
// that is rolled back starts last, and has its tables again.
//
// All flows of a service wait until all of its tables are this build's. Meanwhile
// it is not ready, and answers calls as unavailable.

// claim is what a replica may do about tables of another version.
type claim int

const (
	claimNone     claim = iota // it waits
	claimVacant                // replace them, unless somebody takes the flows in
	claimStarting              // replace them, whoever takes the flows in
)

// ErrReplaced says that the tables are of another version than this build's, and
// that it is not this replica's turn to change that.
var ErrReplaced = fmt.Errorf("%w: a replica of another build has started later and has replaced them; end this one, or start it again to have its version back", projection.ErrSchema)

// errOvertaken says that another build has begun to rebuild, or owns the flows.
var errOvertaken = errors.New("a replica of another build has come first")

// errClosing delays a swap: what an epoch has come to is read from the old tables.
var errClosing = errors.New("the end of an epoch is about to be told")

// smallRest is how many events a fold may have found last, for the swap to fold
// what has come since.
const smallRest = 1000

// versions tell what a Runtime knows of the versions of its tables.
type versions struct {
	mu        sync.Mutex
	hindrance error          // why this replica can't work on the tables, or nil
	settled   bool           // whether it takes turns
	done      map[string]int // percent, by projection that is rebuilt

	// What belongs to the goroutine that takes turns.
	claim claim
	said  bool // whether the claim has been said to the other replicas
}

func (v *versions) set(c claim) { v.claim, v.said = c, false }

// errNotRebuilt is what callers are told of a rebuild that fails; readiness knows
// why it does.
var errNotRebuilt = errors.New("the read models wait to be rebuilt")

// Available returns nil when calls can be answered: when the tables are of this
// build's version. Else it tells callers why not.
func (rt *Runtime) Available() error {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	v := &rt.versions
	switch {
	case len(v.done) > 0:
		return v.progress()
	case v.hindrance == nil || errors.Is(v.hindrance, ErrReplaced):
		return v.hindrance
	default:
		return errNotRebuilt
	}
}

// tablesReady returns why this replica can't work on its tables; nil when it can.
func (rt *Runtime) tablesReady() error {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	if len(rt.versions.done) > 0 {
		return rt.versions.progress()
	}
	return rt.versions.hindrance
}

// progress tells how far projections have been rebuilt: rebuilding crm, 40 %.
func (v *versions) progress() error {
	parts := make([]string, 0, len(v.done))
	for _, name := range slices.Sorted(maps.Keys(v.done)) {
		parts = append(parts, fmt.Sprintf("%s, %d %%", name, v.done[name]))
	}
	return fault.Unavailable("rebuilding %s", strings.Join(parts, "; "))
}

// hinder says why this replica can't work on the tables, and logs it once.
func (rt *Runtime) hinder(err error) {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	was := rt.versions.hindrance
	rt.versions.hindrance = err
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		rt.Logger.Warn("this replica can't work on the read models", "reason", err.Error())
	case err == nil && was != nil:
		rt.Logger.Info("this replica works on the read models again")
	}
}

func (rt *Runtime) settle(settled bool) {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	rt.versions.settled = settled
}

// tellRebuilt shows how far a projection has been rebuilt.
func (rt *Runtime) tellRebuilt(in *Intake, at, of eventlog.Position) {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	percent := 100
	if of.Commit > 0 {
		percent = int(float64(at.Commit) / float64(of.Commit) * 100)
	}
	rt.versions.done[in.consumer.Schema.Name] = percent
}

// createTables makes the tables that are not there. Those of another version are
// left for later.
func (rt *Runtime) createTables(ctx context.Context) error {
	if err := rt.DB.Create(ctx, tables, ownerTable, freshnessTable, rebuildTables, shadowTables); err != nil {
		return err
	}
	versions, err := projection.Versions(ctx, rt.DB)
	if err != nil {
		return err
	}
	for _, in := range rt.intakes {
		foreign, err := in.isForeign(ctx, rt.DB, versions)
		switch {
		case err != nil:
			return err
		case foreign:
			rt.versions.hindrance = errNotRebuilt
			continue
		case in.consumer.Schema.Name == "":
			continue
		}
		// Another replica may have made its own a moment ago.
		if err := rt.DB.Create(ctx, in.consumer.Schema); err != nil && !errors.Is(err, projection.ErrSchema) {
			return err
		}
	}
	rt.versions.set(claimStarting)
	return nil
}

// isForeign tells whether the flow's tables, which are of these versions, are of
// another than this build's. Tables that are not there are, when the flow has been
// taken in.
func (in *Intake) isForeign(ctx context.Context, q projection.Querier, versions map[string]int) (bool, error) {
	s := in.consumer.Schema
	if s.Name == "" {
		return false, nil
	}
	if version, found := versions[s.Name]; found {
		return version != s.Version, nil
	}
	cp, _, err := loadCheckpoint(ctx, q, in.consumer.Flow.Name)
	return cp.eventID != "", err
}

// foreign returns the intakes whose tables are of another version.
func (rt *Runtime) foreign(ctx context.Context) (all []*Intake, err error) {
	versions, err := projection.Versions(ctx, rt.DB)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(rt.intakes)) {
		in := rt.intakes[name]
		is, err := in.isForeign(ctx, rt.DB, versions)
		if err != nil {
			return nil, err
		}
		if is {
			all = append(all, in)
		}
	}
	return all, nil
}

func replaced(all []*Intake) error {
	if len(all) == 0 {
		return nil
	}
	s := all[0].consumer.Schema
	return fmt.Errorf("the tables of %s, of which this build reads version %d: %w", s.Name, s.Version, ErrReplaced)
}

// confirmTables fails with errFenced when the tables have been replaced.
func (in *Intake) confirmTables(ctx context.Context, tx *projection.Tx) error {
	versions, err := projection.Versions(ctx, tx)
	if err != nil {
		return err
	}
	foreign, err := in.isForeign(ctx, tx, versions)
	if err == nil && foreign {
		err = errors.Join(errFenced, replaced([]*Intake{in}))
	}
	return err
}

// watchTables looks, for as long as this replica takes turns, whether its tables
// are there still: a replica that stands by answers calls too.
func (rt *Runtime) watchTables(ctx context.Context) error {
	if !rt.DB.Shared() {
		return nil
	}
	for sleep(ctx, newLease(rt.DB, rt.Lease).lookEvery()) {
		foreign, err := rt.foreign(ctx)
		if err != nil {
			continue // that the database is away is told by others
		}
		rt.versions.mu.Lock()
		settled := rt.versions.settled
		rt.versions.mu.Unlock()
		if settled {
			rt.hinder(replaced(foreign))
		}
	}
	return nil
}

// awaitTables returns when the tables are this build's. It returns with the lease
// when it had to take that to swap them.
func (rt *Runtime) awaitTables(ctx context.Context) (l lease, held bool) {
	rt.settle(false)
	defer rt.settle(true)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 2*time.Second
	vacant := vacancy{lease: newLease(rt.DB, rt.Lease)}
	for ctx.Err() == nil {
		foreign, err := rt.foreign(ctx)
		switch {
		case err != nil:
		case len(foreign) == 0:
			rt.hinder(nil)
			rt.versions.set(claimNone)
			rt.clearBeside(ctx)
			return lease{}, false
		case rt.versions.claim == claimNone:
			rt.hinder(replaced(foreign))
			if vacant.lasts(ctx) {
				rt.versions.set(claimVacant)
				continue
			}
			sleep(ctx, vacant.lease.lookEvery())
			continue
		default:
			if l, err = rt.rebuild(ctx, foreign); err == nil {
				rt.hinder(nil)
				rt.versions.set(claimNone)
				return l, true
			}
			if errors.Is(err, errOvertaken) {
				rt.versions.set(claimNone)
				vacant.since = time.Time{}
				continue
			}
		}
		if ctx.Err() == nil {
			rt.hinder(fmt.Errorf("rebuild the read models: %w", err))
			sleep(ctx, wait.NextBackOff())
		}
	}
	return lease{}, false
}

// vacancy watches whether nobody takes the flows in.
type vacancy struct {
	lease lease
	since time.Time
}

// lasts tells whether nobody has done so for a whole lease: replicas of one build
// that take turns leave no such gap.
func (v *vacancy) lasts(ctx context.Context) bool {
	free, err := v.lease.free(ctx)
	switch {
	case err != nil || !free:
		v.since = time.Time{}
	case v.since.IsZero():
		v.since = time.Now()
	}
	return !v.since.IsZero() && time.Since(v.since) >= v.lease.length
}

// errBuilding says that there is nothing to do but to wait.
var errBuilding = errors.New("another replica rebuilds them")

// rebuild rebuilds tables and swaps them. It returns with the lease on the flows.
func (rt *Runtime) rebuild(ctx context.Context, foreign []*Intake) (l lease, err error) {
	if err := rt.want(ctx); err != nil {
		return l, err
	}
	err = rt.asBuilder(ctx, func(ctx context.Context, builder lease) (err error) {
		defer rt.showNothing()
		rt.showRebuilding(foreign)
		l, err = rt.build(ctx, foreign, builder)
		return err
	})
	if swapped := l.token != ""; !swapped {
		return l, err
	}
	rt.clearBeside(ctx)
	return l, nil // who may rebuild matters no more
}

// asBuilder does work that one replica at a time may do, while it holds the lease
// for that.
func (rt *Runtime) asBuilder(ctx context.Context, work func(context.Context, lease) error) error {
	builder := newLease(rt.DB, rt.Lease)
	builder.role = builderRole
	if taken, err := builder.take(ctx); err != nil || !taken {
		return cmp.Or(err, errBuilding)
	}
	holding, release := context.WithCancel(ctx)
	defer release()
	group, working := errgroup.WithContext(holding)
	group.Go(func() error { return builder.hold(working) })
	group.Go(func() error {
		defer release()
		return work(working, builder)
	})
	err := group.Wait()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), builder.renewEvery())
	defer cancel()
	return errors.Join(err, builder.giveBack(leaving))
}

func (rt *Runtime) showRebuilding(foreign []*Intake) {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	rt.versions.done = map[string]int{}
	for _, in := range foreign {
		rt.versions.done[in.consumer.Schema.Name] = 0
	}
}

func (rt *Runtime) showNothing() {
	rt.versions.mu.Lock()
	defer rt.versions.mu.Unlock()
	rt.versions.done = nil
}

// build folds into tables beside until little is missing, and swaps.
func (rt *Runtime) build(ctx context.Context, foreign []*Intake, builder lease) (l lease, err error) {
	all := make([]*rebuilt, len(foreign))
	for i, in := range foreign {
		all[i] = &rebuilt{in: in, name: nameBeside(in.consumer.Schema), told: rt.tellRebuilt, confirm: rt.confirmWanted}
	}
	if err := rt.dropBeside(ctx, all...); err != nil {
		return l, err
	}
	if err := rt.noteBeside(ctx, all); err != nil {
		return l, err
	}
	rt.Logger.Info("read models are rebuilt", "versions", rt.wanted())
	spans := rt.beginRebuilds(ctx, foreign)
	defer func() {
		endAll(spans, err)
		for _, r := range all {
			if r.beside != nil {
				err = errors.Join(err, r.beside.Close())
			}
		}
	}()
	for _, r := range all {
		if err := r.open(ctx, rt.DB); err != nil {
			return l, err
		}
	}
	for rest := uint64(smallRest + 1); rest > smallRest; {
		rest = 0
		for _, r := range all {
			folded, err := r.catchUp(ctx, rt.DB)
			if errors.Is(err, errAhead) {
				err = errors.Join(err, r.beside.Drop(ctx))
				r.beside = nil
			}
			if err != nil {
				return l, fmt.Errorf("%s: %w", r.in.consumer.Schema.Name, err)
			}
			rest += folded
		}
	}
	return rt.swap(ctx, all, builder)
}

// swap takes the flows over and replaces the tables, all or none.
func (rt *Runtime) swap(ctx context.Context, all []*rebuilt, builder lease) (lease, error) {
	l := newLease(rt.DB, rt.Lease)
	err := rt.DB.Update(ctx, func(tx *projection.Tx) error {
		if err := rt.seize(ctx, tx, l); err != nil {
			return err
		}
		if err := builder.confirm(ctx, tx); err != nil {
			return err
		}
		if err := rt.confirmWantedIn(ctx, tx); err != nil {
			return err
		}
		for _, r := range all {
			if err := r.swapIn(ctx, rt.DB, tx); err != nil {
				return fmt.Errorf("%s: %w", r.in.consumer.Schema.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return lease{}, fmt.Errorf("swap: %w", err)
	}
	return l, nil
}

// seize takes over the flows, all of them, from whoever takes them in: until the
// transaction ends no checkpoint moves, and after it that one writes nothing more.
func (rt *Runtime) seize(ctx context.Context, tx *projection.Tx, l lease) error {
	taken, err := l.takeFrom(ctx, tx, whoeverIsLate)
	if err != nil {
		return err
	}
	lives := !taken && rt.DB.Shared() // the owner
	if lives && rt.versions.claim != claimStarting {
		return errOvertaken
	}
	if !taken {
		if _, err := l.takeFrom(ctx, tx, whoever); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE flow_checkpoint SET owner = ?`, l.token); err != nil {
		return fmt.Errorf("take over the flows: %w", err)
	}
	if !lives {
		return nil
	}
	var closing int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM flow_closing`).Scan(&closing); err != nil {
		return fmt.Errorf("look for epochs that have ended: %w", err)
	}
	if closing > 0 {
		return errClosing // the owner does so
	}
	return nil
}
