package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Group is a set of children. Make one with New, and Stop it always.
type Group struct {
	options Options
	spawner *spawner

	mu     sync.Mutex
	stages [][]*child
}

// New returns a group without children.
func New(options Options) *Group {
	return &Group{options: options.withDefaults(), spawner: newSpawner()}
}

// Start starts the children of one stage, all at once, and waits until they are
// ready. From then on they are kept running. When one of them does not start,
// the others of its stage are stopped; Stop is still needed for earlier stages.
func (g *Group) Start(ctx context.Context, stage ...Spec) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	children := make([]*child, len(stage))
	errs := make([]error, len(stage))
	var wg sync.WaitGroup
	for i, spec := range stage {
		children[i] = &child{spec: spec, options: g.options, spawner: g.spawner, stop: make(chan struct{}), stopped: make(chan struct{})}
		wg.Go(func() {
			errs[i] = g.startOne(ctx, children[i])
			if errs[i] != nil {
				cancel() // the others need not go on
			}
		})
	}
	wg.Wait()
	return g.settle(children, errs)
}

func (g *Group) startOne(ctx context.Context, c *child) error {
	l, err := c.first(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", c.spec.Name, err)
	}
	go c.keep(l)
	return nil
}

// settle makes the children a stage, or stops them when one did not start.
func (g *Group) settle(children []*child, errs []error) error {
	var running []*child
	for i, c := range children {
		if errs[i] == nil {
			running = append(running, c)
		}
	}
	if err := firstCause(errs); err != nil {
		stopAll(running)
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stages = append(g.stages, running)
	return nil
}

// firstCause prefers the error that made the others give up.
func firstCause(errs []error) error {
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	return first
}

// Stop stops all children, the last stage first, and returns when they have
// ended.
func (g *Group) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spawner == nil {
		return
	}
	for _, stage := range slices.Backward(g.stages) {
		stopAll(stage)
	}
	g.spawner.close()
	g.stages, g.spawner = nil, nil
}

func stopAll(children []*child) {
	for _, c := range children {
		close(c.stop)
	}
	for _, c := range children {
		<-c.stopped
	}
}
