package controller_test

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// A newer operator has begun what this one does not know: it keeps its hands off, and
// says why. What serves goes on serving.
func TestWhatANewerOperatorBeganIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	newer := esdb.EventData{
		EventID: uuid.New(), EventType: "flow.RolloutPostponed", ContentType: esdb.ContentTypeJson, Data: []byte(`{"service":"channel"}`),
		Metadata: []byte(`{"specversion":"1.0","dataschema":"flow.v1.RolloutPostponed"}`),
	}
	if _, err := w.store.Client(t).AppendToStream(t.Context(), flows.RolloutsStream, esdb.AppendToStreamOptions{}, newer); err != nil {
		t.Fatal(err)
	}
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "the event store has events that this operator does not know: a newer one wrote them; run that one")
	w.stands(v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Image = "registry/channel:2" })
	looks := w.looks.Load()
	w.await("ten more looks", func() bool { return w.looks.Load() > looks+10 })
	set := &appsv1.StatefulSet{}
	if w.read("shop-channel", set); set.Spec.Template.Spec.Containers[0].Image != "registry/channel:1" {
		t.Errorf("channel runs %s", set.Spec.Template.Spec.Containers[0].Image)
	}
}
