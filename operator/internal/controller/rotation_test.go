package controller_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// What a Secret holds is changed: the operator calls the store by it from its next look
// on. Pods have it once they are started again, which is somebody's to ask for; the
// operator starts none by itself, and undoes nothing of it.
func TestASecretThatIsRotatedIsTakenUp(t *testing.T) {
	w := newWorld(t, eventstoretest.WithUser("operator", "not to be guessed"))
	w.create(w.triangle())
	w.serves()
	template := w.template("shop-channel")

	w.secret("esdb://operator:outdated@127.0.0.1:2113?tls=false&maxDiscoverAttempts=1")
	w.stands(v1alpha1.ConditionEventStoreReachable, metav1.ConditionFalse, "does not answer")
	w.secret(w.store.ConnectionString())
	w.stands(v1alpha1.ConditionEventStoreReachable, metav1.ConditionTrue, "")
	w.serves()
	if after := w.template("shop-channel"); after.String() != template.String() {
		t.Errorf("the pods are others, as of\n%s\nand were as of\n%s", after.String(), template.String())
	}

	hour := "1h"
	const restart = `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-11-23T05:00:00Z"}}}}}`
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "shop-channel"}}
	if err := w.client.Patch(t.Context(), set, client.RawPatch(types.StrategicMergePatchType, []byte(restart)), client.FieldOwner("kubectl-rollout")); err != nil {
		t.Fatal(err)
	}
	w.change(func(t *v1alpha1.Triangle) {
		t.Spec.Channel.Env = []v1alpha1.Variable{{Name: "TRIANGLE_CALL_TIMEOUT", Value: &hour}}
	})
	w.await("what is set is there", func() bool {
		for _, v := range w.template("shop-channel").Spec.Containers[0].Env {
			if v.Name == "TRIANGLE_CALL_TIMEOUT" {
				return true
			}
		}
		return false
	})
	if w.template("shop-channel").Annotations["kubectl.kubernetes.io/restartedAt"] == "" {
		t.Error("the operator has undone what kubectl rollout restart asked for")
	}
	w.serves()
}

// secret changes the connection string that the Triangle's Secret holds.
func (w *world) secret(connection string) {
	w.t.Helper()
	key := client.ObjectKey{Namespace: w.namespace, Name: "store"}
	var s corev1.Secret
	if err := w.client.Get(w.t.Context(), key, &s); err != nil {
		w.t.Fatal(err)
	}
	s.Data = map[string][]byte{"connection": []byte(connection)}
	if err := w.client.Update(w.t.Context(), &s); err != nil {
		w.t.Fatal(err)
	}
}

// template is what a service's pods are made of.
func (w *world) template(name string) corev1.PodTemplateSpec {
	w.t.Helper()
	set := &appsv1.StatefulSet{}
	w.read(name, set)
	return set.Spec.Template
}
