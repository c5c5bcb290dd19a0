package bench_test

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/writes"
)

// patience is how long anything may take.
const patience = 10 * time.Minute

// reached waits until each of so many flows is told to be at a step, with nothing on
// the way.
func (w *world) reached(step, n int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	var all v1alpha1.InformationFlowList
	w.check(w.client.List(ctx, &all, client.InNamespace(w.namespace)))
	at := map[string]bool{}
	for i := range all.Items {
		at[all.Items[i].Name] = isAt(&all.Items[i], step)
	}
	since := &client.ListOptions{Namespace: w.namespace, Raw: &metav1.ListOptions{ResourceVersion: all.ResourceVersion}}
	changes, err := w.client.Watch(ctx, &all, since)
	w.check(err)
	defer changes.Stop()
	for count(at) < n {
		select {
		case e, ok := <-changes.ResultChan():
			if !ok || e.Type == watch.Error {
				w.Fatalf("the watch has ended, %d of %d flows are at %s", count(at), n, stepName(step))
			}
			if o, is := e.Object.(*v1alpha1.InformationFlow); is {
				at[o.Name] = isAt(o, step)
			}
		case <-ctx.Done():
			w.Fatalf("waited for long, and %d of %d flows are at %s", count(at), n, stepName(step))
		}
	}
}

func isAt(o *v1alpha1.InformationFlow, step int) bool {
	return o.Status.CurrentStep == stepName(step) && meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionReconciling) == nil
}

func count(of map[string]bool) (n int) {
	for _, is := range of {
		if is {
			n++
		}
	}
	return n
}

// counts are writes by resource and verb.
type counts map[string]float64

func countsOf(w *world, c writes.Counter) counts {
	w.Helper()
	registry := prometheus.NewPedanticRegistry()
	w.check(registry.Register(c))
	families, err := registry.Gather()
	w.check(err)
	all := counts{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[label(m, "verb")+" "+label(m, "resource")] = m.GetCounter().GetValue()
		}
	}
	return all
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// since are those that were not there before.
func (c counts) since(before counts) counts {
	more := counts{}
	for what, n := range c {
		if n > before[what] {
			more[what] = n - before[what]
		}
	}
	return more
}

func (c counts) sum() (n float64) {
	for _, of := range c {
		n += of
	}
	return n
}
