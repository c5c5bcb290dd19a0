package controller_test

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/controller"
	"github.com/triangle-suite/triangle/operator/internal/workload"
)

// overtaking is a reader whose caller is overtaken by somebody else after each look
// at a workload.
type overtaking struct {
	client.Client
	writes client.Client
	times  int
}

func (o *overtaking) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := o.Client.Get(ctx, key, object, options...); err != nil {
		return err
	}
	if u, ok := object.(runtime.Unstructured); ok && u.GetObjectKind().GroupVersionKind().Kind == "StatefulSet" {
		o.times++
		set := &appsv1.StatefulSet{}
		if err := o.Client.Get(ctx, key, set); err != nil {
			return err
		}
		set.Annotations["triangle.dev/overtaken"] = time.Now().String()
		return o.writes.Update(ctx, set)
	}
	return nil
}

// conflicts counts the writes that the API server refused as out of date.
type conflicts struct {
	client.Client
	refused, applied int
}

func (c *conflicts) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	err := c.Client.Apply(ctx, o, options...)
	switch {
	case apierrors.IsConflict(err):
		c.refused++
	case err == nil:
		c.applied++
	}
	return err
}

// A leader that was deposed between its look and its write can't write any more.
func TestADeposedLeaderCannotWrite(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	w.kill()
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Pods.NodeSelector = map[string]string{"disk": "ssd"} })

	reader, writer := &overtaking{Client: w.client, writes: w.client}, &conflicts{Client: w.client}
	deposed := &controller.Triangles{Client: writer, Reader: reader, Recorder: events.NewFakeRecorder(100), Now: w.clock.now}
	result, err := deposed.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(w.get())})
	if err != nil || result.RequeueAfter == 0 {
		t.Errorf("it ended with %v, %v: want another look", result, err)
	}
	if reader.times != 1 || writer.refused != 1 {
		t.Errorf("overtaken %d times, refused %d times, want once each", reader.times, writer.refused)
	}
	set := &appsv1.StatefulSet{}
	if w.read(workload.Name(w.get(), "channel"), set); set.Spec.Template.Spec.NodeSelector != nil {
		t.Error("what it wrote counts")
	}
	w.operate() // the new leader's does
	w.await("the selector", func() bool {
		return w.read("shop-channel", set) && set.Spec.Template.Spec.NodeSelector["disk"] == "ssd"
	})
}
