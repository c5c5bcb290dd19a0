package migrate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
	"github.com/triangle-suite/triangle/operator/internal/traces"
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
	heard     bool                  // the last heartbeat arrived
	owing     bool                  // something may have been missed that nobody has looked after
	catalogue map[string]flows.Flow // nil: it was never read
	objects   map[string]*followed  // by the InformationFlow's name

	asked chan struct{} // closed when it was tried for the first time to reach the store
	first sync.Once
}

func newEnvironment(connection *control.Flows, instance string) *environment {
	e := &environment{watch: connection.Watch(instance), objects: map[string]*followed{}, owing: true, asked: make(chan struct{})}
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

// followed is what is known of one InformationFlow. It is worked on by one at a time.
type followed struct {
	state *migration.State
	spec  plan.Spec
	read  time.Time // when spec was read
	step  traces.Step
}

// reached shows the step that was begun, once the flow's consumer has adopted it or a
// later one.
func (f *followed) reached(shown trace.TracerProvider) {
	if f.step.Epoch == 0 || f.state.Epoch < f.step.Epoch {
		return
	}
	if f.state.Epoch == f.step.Epoch {
		f.step.Reached(shown)
	}
	f.step = traces.Step{}
}

// specLasts is for how long a spec that was read stands: whether steps are faster
// than those before is looked up in the year that begins now.
const specLasts = 24 * time.Hour

// follow returns what is known of an InformationFlow, as it is wanted now. To read a
// spec takes a look at a year of windows, so that it is done when the object, or the
// flow's entry in the catalogue, has changed. It fails as plan.Read does.
func (e *environment) follow(object *v1alpha1.InformationFlow, now time.Time) (*followed, error) {
	e.mu.Lock()
	f := e.objects[object.Name]
	e.mu.Unlock()
	if f == nil || f.isStale(object, e.find, now) {
		spec, err := plan.Read(object, e.find, now)
		if err != nil {
			return nil, err
		}
		if f == nil || f.state.Flow != spec.Flow.Name {
			f = &followed{state: migration.New(spec.Flow)}
			e.mu.Lock()
			e.objects[object.Name] = f
			e.mu.Unlock()
		}
		f.spec, f.read = spec, now
	}
	f.spec = f.spec.Asked(object)
	return f, nil
}

// isStale tells whether a spec has to be read again.
func (f *followed) isStale(object *v1alpha1.InformationFlow, catalogue plan.Catalogue, now time.Time) bool {
	was := f.spec.Object
	flow, ok := catalogue(object.Spec.Flow)
	return was.UID != string(object.UID) || was.Generation != object.Generation ||
		!ok || !reflect.DeepEqual(f.spec.Flow, flow) || now.Sub(f.read) > specLasts
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
	if e.heard = err == nil; err != nil {
		e.owing = true
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

// forget drops what is known of an object that is no more, and returns what the
// streams say of its flow; nil when nothing was known.
func (e *environment) forget(object string) *migration.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.objects[object]
	delete(e.objects, object)
	if f == nil {
		return nil
	}
	return f.state
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
	e.heard, e.owing = false, true
}

// settle looks after what may have been missed since it did so last, and tells
// whether it has. A heartbeat that arrives does not say that nothing was: the store
// may have been lost, and found again, while it was under way.
func (e *environment) settle(lookAfter func() error) (settled bool, err error) {
	e.mu.Lock()
	owing := e.owing
	e.owing = false
	e.mu.Unlock()
	if !owing {
		return false, nil
	}
	if err := lookAfter(); err != nil {
		e.mu.Lock()
		e.owing = true
		e.mu.Unlock()
		return false, err
	}
	return true, nil
}
