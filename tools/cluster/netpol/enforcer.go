package netpol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Enforcer has the node enforce a cluster's policies, as they change.
type Enforcer struct {
	Cluster *rest.Config
	// Processes are the node's own that count as pods: see State.
	Processes []corev1.Pod
	// Apply puts a ruleset in place of the one before; this package's Apply does.
	Apply func(ctx context.Context, ruleset string) error
	// Log is told of what has been applied, and of rules that can't be expressed.
	Log *slog.Logger
}

// Run enforces until the context ends. What is enforced then goes on being so, until
// Remove: a node is not open because nobody looks after it.
func (e Enforcer) Run(ctx context.Context) error {
	seen, err := cache.New(e.Cluster, cache.Options{})
	if err != nil {
		return fmt.Errorf("watch the cluster's policies: %w", err)
	}
	all, ctx := errgroup.WithContext(ctx)
	changed := make(chan struct{}, 1)
	for _, kind := range []client.Object{&corev1.Pod{}, &corev1.Namespace{}, &networkingv1.NetworkPolicy{}} {
		informer, err := seen.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err == nil {
			_, err = informer.AddEventHandler(tellOf(changed))
		}
		if err != nil {
			return fmt.Errorf("watch the cluster's policies: %w", err)
		}
	}
	all.Go(func() error { return seen.Start(ctx) })
	all.Go(func() error {
		if !seen.WaitForCacheSync(ctx) {
			return ctx.Err()
		}
		return e.follow(ctx, seen, changed)
	})
	if err := all.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tellOf tells that something has changed, once for all that nobody has looked at yet.
func tellOf(changed chan<- struct{}) toolscache.ResourceEventHandler {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	}
}

// follow applies what the policies come to whenever that is something else.
func (e Enforcer) follow(ctx context.Context, seen client.Reader, changed <-chan struct{}) error {
	for applied, told := "", ""; ; {
		state, err := e.look(ctx, seen)
		if err != nil {
			return err
		}
		rules, err := Compile(state)
		if err != nil && err.Error() != told {
			told = err.Error()
			e.Log.ErrorContext(ctx, "what can't be expressed is not allowed", "why", told)
		}
		if next := rules.Ruleset(); next != applied {
			if err := e.Apply(ctx, next); err != nil {
				return fmt.Errorf("enforce the cluster's policies: %w", err)
			}
			applied = next
			e.Log.InfoContext(ctx, "applied", "policies", len(state.Policies), "pods", len(rules.Pods))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (e Enforcer) look(ctx context.Context, seen client.Reader) (State, error) {
	var (
		pods       corev1.PodList
		namespaces corev1.NamespaceList
		policies   networkingv1.NetworkPolicyList
	)
	for _, list := range []client.ObjectList{&pods, &namespaces, &policies} {
		if err := seen.List(ctx, list); err != nil {
			return State{}, fmt.Errorf("list what policies are about: %w", err)
		}
	}
	return State{Pods: pods.Items, Namespaces: namespaces.Items, Policies: policies.Items, Processes: e.Processes}, nil
}
