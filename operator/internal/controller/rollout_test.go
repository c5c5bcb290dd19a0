package controller_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
)

// An environment comes about, goes over to another image, and takes one back that
// does not get ready; the operator is killed on the way, and its status is wiped.
func TestImagesAreBroughtInOneServiceAtATime(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	first := []string{
		"channel:RolloutBegan", "channel:RolloutEnded", "sales:RolloutBegan", "sales:RolloutEnded", "marketing:RolloutBegan", "marketing:RolloutEnded",
	}
	if diff := cmp.Diff(first, w.history()); diff != "" {
		t.Errorf("how they came about (-want +got):\n%s", diff)
	}

	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Image = "registry/channel:2" })
	w.stands(v1alpha1.ConditionReconciling, metav1.ConditionTrue, "channel is ready with registry/channel:2, and is watched for 1m0s")
	w.kill() // in the middle of it
	w.operate()
	w.serves()

	w.with(func() { w.broken["registry/sales:2"] = true })
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Sales.Image = "registry/sales:2" })
	w.await("the broken image to be there", func() bool { return w.record("sales").Phase == rollout.Starting })
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Marketing.Image = "registry/marketing:2" })
	w.stands(v1alpha1.ConditionReady, metav1.ConditionFalse, "sales not ready")
	w.stands(v1alpha1.ConditionReconciling, metav1.ConditionTrue, "marketing waits until another service's rollout has ended")
	if r := w.record("marketing"); r.Phase != rollout.Idle || r.Image != "registry/marketing:1" {
		t.Errorf("marketing does not wait: %+v", r)
	}
	w.hasten(starting, "the way back", func() bool { return w.record("sales").Phase == rollout.Idle })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "sales went back to registry/sales:1, as registry/sales:2 failed: it was not ready within 10m0s")
	w.hasten(watched, "marketing on its image", func() bool { return w.record("marketing").Good == "registry/marketing:2" })
	w.stands(v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	w.await("an end", func() bool { return len(w.get().Status.Conditions) == 4 })

	// What is known is in the streams: a status that is wiped comes back the same.
	before := w.get()
	w.kill()
	wiped := before.DeepCopy()
	wiped.Status = v1alpha1.TriangleStatus{}
	if err := w.client.Status().Update(t.Context(), wiped); err != nil {
		t.Fatal(err)
	}
	w.operate()
	w.await("the status again", func() bool { return len(w.get().Status.Conditions) == len(before.Status.Conditions) })
	sameButSince := cmp.Options{
		cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime"),
		cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type }),
	}
	if diff := cmp.Diff(before.Status, w.get().Status, sameButSince); diff != "" {
		t.Errorf("the status after it was wiped (-before +after):\n%s", diff)
	}

	// It is tried again when somebody asks, and not before.
	began := strings.Count(strings.Join(w.history(), " "), "sales:RolloutBegan")
	w.with(func() { delete(w.broken, "registry/sales:2") })
	w.change(func(t *v1alpha1.Triangle) {
		t.Annotations = map[string]string{v1alpha1.AnnotationRetry: "2026-11-22T12:00:00Z"}
	})
	w.await("sales' second try", func() bool { return w.record("sales").Phase == rollout.Observing })
	if n := strings.Count(strings.Join(w.history(), " "), "sales:RolloutBegan"); n != began+1 {
		t.Errorf("%d tries, want %d", n, began+1)
	}
	w.serves()
	w.with(func() {
		if w.most > 1 {
			t.Errorf("%d workloads were not ready at once", w.most)
		}
	})
}

func TestAnImageWhoseCallsFailIsTakenBack(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	w.with(func() { w.calls["registry/channel:2"] = [2]uint64{1000, 20} })
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Image = "registry/channel:2" })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "registry/channel:2 failed: 20 of its 1000 calls failed, more than 1%")
	if r := w.record("channel"); r.Image != "registry/channel:1" || r.Good != r.Image {
		t.Errorf("channel is at %+v", r)
	}
	w.stands(v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// without takes a type from what a build knows.
func without(c *flowv1.ContractAnnounced, schema string) {
	keep := func(all []string) (kept []string) {
		for _, one := range all {
			if one != schema {
				kept = append(kept, one)
			}
		}
		return kept
	}
	c.Reads, c.Writes = keep(c.Reads), keep(c.Writes)
}

// The last good image can't read what the new one may have written: going back would
// lose events.
func TestTheWayBackIsClosedWhenItWouldLoseEvents(t *testing.T) {
	w := newWorld(t)
	w.with(func() {
		without(w.contracts["registry/sales:1"], "sales.v1.OrderPlaced")
		w.calls["registry/sales:2"] = [2]uint64{100, 100}
	})
	w.create(w.triangle())
	w.serves()
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Sales.Image = "registry/sales:2" })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "the way back is closed, as registry/sales:1 does not read sales.v1.OrderPlaced")
	if r := w.record("sales"); r.Image != "registry/sales:2" {
		t.Errorf("sales is at %+v", r)
	}
	// Nor is it gone back to when somebody names it.
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Sales.Image = "registry/sales:1" })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "sales can't go over to registry/sales:1, which does not read sales.v1.OrderPlaced: name an image that reads it")
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Sales.Image = "registry/sales:3" })
	w.serves()
}

// Read first, write later: a type waits until every service's image reads it.
func TestATypeIsActivatedWhenEveryImageReadsIt(t *testing.T) {
	const schema = "sales.v1.OrderPlaced"
	w := newWorld(t)
	w.with(func() {
		without(w.contracts["registry/marketing:1"], schema)
		for _, f := range w.contracts["registry/marketing:1"].Flows {
			for i, name := range f.Types {
				if name == "sales.OrderPlaced" {
					f.Types = append(f.Types[:i], f.Types[i+1:]...)
					break
				}
			}
		}
		for _, image := range []string{"registry/sales:1", "registry/sales:2"} {
			w.contracts[image].Gated = []string{schema}
		}
	})
	w.create(w.triangle())
	w.serves()
	w.stands(v1alpha1.ConditionTypesActive, metav1.ConditionFalse, schema+" is not written yet: marketing ")
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Marketing.Image = "registry/marketing:2" })
	w.await("marketing to be watched", func() bool { return w.record("marketing").Phase == rollout.Observing })
	w.stands(v1alpha1.ConditionTypesActive, metav1.ConditionFalse, schema)
	w.hasten(watched, "marketing to be good", func() bool { return w.record("marketing").Phase == rollout.Idle })
	w.stands(v1alpha1.ConditionTypesActive, metav1.ConditionTrue, "")
	// Now the old image can't come back.
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Marketing.Image = "registry/marketing:1" })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "registry/marketing:1, which does not read "+schema)
}

func TestAnImageThatAnnouncesNothingDoesNotServe(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Image = "registry/channel:other" })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "the image registry/channel:other announces no contract: its Job shop-channel-announce-")
	if r := w.record("channel"); r.Image != "registry/channel:1" || r.Phase != rollout.Idle {
		t.Errorf("channel is at %+v", r)
	}
	w.stands(v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Image = "registry/channel:1" })
	w.serves()
}

// While the store is away nothing is rolled out or taken back, and its absence uses
// up no deadline.
func TestWhileTheStoreIsAwayNothingIsTakenBack(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	w.with(func() { w.broken["registry/channel:2"] = true })
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Image = "registry/channel:2" })
	w.await("the rollout", func() bool { return w.record("channel").Phase == rollout.Starting })
	w.store.Kill()
	w.await("the store's absence to be told", func() bool {
		for _, c := range w.get().Status.Conditions {
			if c.Type == v1alpha1.ConditionEventStoreReachable {
				return c.Status == metav1.ConditionFalse
			}
		}
		return false
	})
	w.clock.advance(time.Hour)
	w.store.Restart()
	w.stands(v1alpha1.ConditionEventStoreReachable, metav1.ConditionTrue, "")
	if r := w.record("channel"); r.Phase != rollout.Starting {
		t.Errorf("channel is at %+v", r)
	}
	w.hasten(starting, "the way back", func() bool { return w.record("channel").Phase == rollout.Idle })
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "channel went back to registry/channel:1")
}
