package bench_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// patience is how long anything may take.
const patience = 4 * time.Minute

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

// written is what the operators of this process have written.
func (w *world) written() counts {
	all := counts{}
	for line := range strings.Lines(w.scrape()) {
		if m := counted.FindStringSubmatch(line); m != nil {
			n, err := strconv.ParseFloat(m[3], 64)
			w.check(err)
			all[m[2]+" "+m[1]] = n
		}
	}
	return all
}

var counted = regexp.MustCompile(`^triangle_operator_api_writes_total\{resource="([^"]*)",verb="([^"]*)"\} (\S+)`)

// scrape reads the operator's metrics as Prometheus does.
func (w *world) scrape() string {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+w.metrics+"/metrics", http.NoBody)
	w.check(err)
	answer, err := http.DefaultClient.Do(request)
	w.check(err)
	text, err := io.ReadAll(answer.Body)
	w.check(errors.Join(err, answer.Body.Close()))
	return string(text)
}

// await looks until it is so.
func (w *world) await(what string, isSo func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !isSo() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("waited for long, and not so: %s", what)
		}
	}
}

// looks is how often the operators of this process have looked at a flow.
func (w *world) looks() (n float64) {
	for line := range strings.Lines(w.scrape()) {
		if m := looked.FindStringSubmatch(line); m != nil {
			more, err := strconv.ParseFloat(m[1], 64)
			w.check(err)
			n += more
		}
	}
	return n
}

var looked = regexp.MustCompile(`^controller_runtime_reconcile_total\{controller="informationflow",.*\} (\S+)`)

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
