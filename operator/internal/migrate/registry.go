package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/triangle-suite/triangle/services/control"
)

// registry is the environments that are watched, by their namespaces.
type registry struct {
	mu   sync.Mutex
	open map[string]*watched
}

// drop ends the watch of an environment that is no more.
func (r *registry) drop(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.open[namespace]; known != nil {
		known.end()
		delete(r.open, namespace)
	}
}

// watched is an environment with the connection that it was made of.
type watched struct {
	*environment
	connection *control.Flows
	end        context.CancelFunc
}

// environment returns that of a namespace. It is watched from the first time on that
// somebody asks for it, until there is none any more.
func (r *Flows) environment(ctx context.Context, namespace string) (*environment, error) {
	connection, err := r.Stores.Store(ctx, namespace)
	if errors.Is(err, ErrNoEnvironment) {
		r.environments.drop(namespace)
	}
	if err != nil {
		return nil, err
	}
	r.environments.mu.Lock()
	known := r.environments.open[namespace]
	if known == nil || known.connection != connection {
		if known != nil {
			known.end()
		}
		known = r.watch(namespace, connection)
	}
	r.environments.mu.Unlock()
	select {
	case <-known.asked:
		return known.environment, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the event store of %s: %w", namespace, ctx.Err())
	}
}

// watch begins to watch an environment.
func (r *Flows) watch(namespace string, connection *control.Flows) *watched {
	ctx, end := context.WithCancel(r.running)
	w := &watched{newEnvironment(connection, r.Instance), connection, end}
	if r.environments.open == nil {
		r.environments.open = map[string]*watched{}
	}
	r.environments.open[namespace] = w
	go r.beat(ctx, namespace, w.environment)
	go r.listen(ctx, namespace, w.environment)
	return w
}

// beat keeps watching, and has all flows looked at whenever the store has come to be
// reachable, or not to be.
func (r *Flows) beat(ctx context.Context, namespace string, env *environment) {
	ticks := time.NewTicker(r.Every)
	defer ticks.Stop()
	for {
		before, settled := env.isHeard(), false
		err := env.beat(ctx)
		if err == nil {
			settled, err = env.settle(func() error { return r.sweep(ctx, namespace, env) })
		}
		if err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "the flows are not watched", "namespace", namespace)
		}
		if settled || env.isHeard() != before {
			r.hear(ctx, News{Namespace: namespace})
		}
		env.wasAsked()
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// listen has a flow looked at when there is news of it. What is missed while the
// store is away is found out as soon as it is heard again.
func (r *Flows) listen(ctx context.Context, namespace string, env *environment) {
	for ctx.Err() == nil {
		err := env.flows.Follow(ctx, func(n control.News) {
			r.hear(ctx, News{Namespace: namespace, News: n})
		})
		if ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "there is no news of flows", "namespace", namespace)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.Every):
		}
	}
}

// News is that there is something to look at: one flow, or, where it has no name, all
// of a namespace.
type News struct {
	control.News

	Namespace string
}

func (r *Flows) hear(ctx context.Context, n News) {
	select {
	case r.news <- event.TypedGenericEvent[News]{Object: n}:
	case <-ctx.Done():
	}
}

func ignoreNoEnvironment(err error) error {
	if errors.Is(err, ErrNoEnvironment) {
		return nil
	}
	return err
}
