package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/migration"
)

// storeTimeout is how long the store may take to answer.
const storeTimeout = 20 * time.Second

// Stores finds the event store of a namespace.
type Stores interface {
	// Store returns the connection to the namespace's store: the same one as long as
	// it leads to the same store. It fails with ErrNoEnvironment when there is none.
	Store(ctx context.Context, namespace string) (*control.Flows, error)
}

// ErrNoEnvironment says that a namespace has no event store.
var ErrNoEnvironment = errors.New("the namespace has no Triangle, and so no event store: make one first")

// environment is the event store of a namespace, as the operator that leads watches
// it.
type environment struct {
	flows *control.Flows

	mu        sync.Mutex
	watch     *control.Watch
	until     time.Time
	lapses    []migration.Span
	heard     bool // the last heartbeat arrived
	catalogue map[string]flows.Flow // nil: it was never read
	states    map[string]*migration.State

	asked chan struct{} // closed when it was tried for the first time to reach the store
	first sync.Once
}

func newEnvironment(connection *control.Flows, instance string) *environment {
	e := &environment{watch: connection.Watch(instance), states: map[string]*migration.State{}, asked: make(chan struct{})}
	e.flows = connection.In(e.find)
	return e
}

// isHeard tells whether the last heartbeat arrived.
func (e *environment) isHeard() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard
}

// wasAsked says that it was tried to reach the store.
func (e *environment) wasAsked() { e.first.Do(func() { close(e.asked) }) }

// known tells whether it was ever read which flows there are.
func (e *environment) known() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.catalogue != nil
}

// stateOf is what is known of the flow of an InformationFlow. It is that object's
// own, and worked on by one at a time.
func (e *environment) stateOf(object string, flow flows.Flow) *migration.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.states[object]
	if state == nil || state.Flow != flow.Name {
		state = migration.New(flow)
		e.states[object] = state
	}
	return state
}

// beat says that the flows of the environment are watched, and looks which there
// are. Between two of them the store counts as reachable.
func (e *environment) beat(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, storeTimeout)
	defer cancel()
	err := e.watch.Beat(ctx)
	for errors.Is(err, control.ErrDeposed) && ctx.Err() == nil { // it was somebody else's turn to be last
		err = e.watch.Beat(ctx)
	}
	var suite control.Suite
	if err == nil {
		suite, err = e.flows.Suite(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = err == nil
	if err != nil {
		return fmt.Errorf("watch the flows: %w", err)
	}
	e.until, e.lapses = e.watch.Until, append([]migration.Span(nil), e.watch.Lapses...)
	e.catalogue = map[string]flows.Flow{}
	for _, flow := range control.Catalogue(suite.Services) {
		e.catalogue[flow.Name] = flow
	}
	return nil
}

// find looks a flow up that the services announce.
func (e *environment) find(name string) (flows.Flow, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	flow, ok := e.catalogue[name]
	return flow, ok
}

// announced is every flow that the services announce.
func (e *environment) announced() (all []flows.Flow) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, flow := range e.catalogue {
		all = append(all, flow)
	}
	return all
}

// forget drops what is known of the flow of an object that is no more, and returns
// it; nil when nothing was.
func (e *environment) forget(object string) *migration.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.states[object]
	delete(e.states, object)
	return state
}

// observation is what a plan rests on, besides the flow itself.
func (e *environment) observation() plan.Observation {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := plan.Observation{Until: e.until, Lapses: e.lapses}
	if !e.heard {
		o.Unreachable = silent
	}
	return o
}

// silent says that the store can't be reached, in words that do not change as long
// as it can't: its own would have other addresses and times in them each time.
const silent = "the event store does not answer: all clocks stand still, and nothing is rolled back, until it does"

// lost notes that the store did not answer: it counts as out of reach until a
// heartbeat arrives.
func (e *environment) lost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = false
}
