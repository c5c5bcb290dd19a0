package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/traces"
	"github.com/triangle-suite/triangle/services/control"
)

const (
	// byFlow indexes both kinds: InformationFlows by their flow, and approvals by the
	// InformationFlow that they name.
	byFlow = "spec.flow"
	// patience is how long news of the frequent kind gathers once a flow has been
	// looked at; the first after that has it looked at at once.
	patience = 5 * time.Second
	// atOnce is how many flows are worked on at once: they wait for the store, mostly.
	atOnce = 8
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Setup has the manager run it: on the replica that leads, until ctx ends.
func (r *Flows) Setup(ctx context.Context, manager ctrl.Manager) error {
	r.running, r.news = ctx, make(chan event.TypedGenericEvent[News])
	if r.Every == 0 {
		r.Every = control.WatchEvery
	}
	indexer := manager.GetFieldIndexer()
	err := indexer.IndexField(ctx, &v1alpha1.InformationFlow{}, byFlow, func(o client.Object) []string {
		return []string{o.(*v1alpha1.InformationFlow).Spec.Flow}
	})
	if err == nil {
		err = indexer.IndexField(ctx, &v1alpha1.FlowApproval{}, byFlow, func(o client.Object) []string {
			return []string{o.(*v1alpha1.FlowApproval).Spec.Flow}
		})
	}
	if err != nil {
		return fmt.Errorf("index flows and approvals: %w", err)
	}
	return ctrl.NewControllerManagedBy(manager).
		Named("informationflow").
		// What changes nothing that is wanted needs no look: its own status, above all.
		For(&v1alpha1.InformationFlow{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, statusWiped))).
		Watches(&v1alpha1.FlowApproval{}, handler.EnqueueRequestsFromMapFunc(approved), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.Triangle{}, handler.EnqueueRequestsFromMapFunc(inhabited), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.TypedChannel(r.news, handler.TypedFuncs[News, reconcile.Request]{GenericFunc: r.enqueue})).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(traces.Of(r.Traces, "InformationFlow", r))
}

// statusWiped lets an object through whose status somebody has taken away: it is
// made anew from the streams.
var statusWiped = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	flow, ok := e.ObjectNew.(*v1alpha1.InformationFlow)
	return ok && len(flow.Status.Conditions) == 0
}}

// inhabited has the environment of a namespace watched: see Reconcile.
func inhabited(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace()}}}
}

func approved(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.(*v1alpha1.FlowApproval).Spec.Flow}}}
}

// enqueue has those looked at that news is about.
func (r *Flows) enqueue(ctx context.Context, e event.TypedGenericEvent[News], q queue) {
	options := []client.ListOption{client.InNamespace(e.Object.Namespace)}
	if e.Object.Flow != "" {
		options = append(options, client.MatchingFields{byFlow: e.Object.Flow})
	}
	var all v1alpha1.InformationFlowList
	if err := r.Client.List(ctx, &all, options...); err != nil {
		return // the cache has been closed: so has the queue
	}
	for _, flow := range all.Items {
		request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&flow)}
		if e.Object.Frequent {
			q.AddAfter(request, r.attention.rest(request.NamespacedName))
		} else {
			q.Add(request)
		}
	}
}

// nameOf reads namespace/name.
func nameOf(text string) (types.NamespacedName, bool) {
	namespace, name, ok := strings.Cut(text, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}, ok
}
