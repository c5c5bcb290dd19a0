package controller_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// read returns an object of the namespace; false when it is not there.
func (w *world) read(name string, o client.Object) bool {
	w.t.Helper()
	err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, o)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	return err == nil
}

// update changes an object as somebody else would.
func (w *world) update(name string, o client.Object, how func()) {
	w.t.Helper()
	w.await("a change of "+name, func() bool {
		w.read(name, o)
		how()
		err := w.client.Update(w.t.Context(), o)
		if err != nil && !apierrors.IsConflict(err) {
			w.t.Fatal(err)
		}
		return err == nil
	})
}

// versions are those of all objects of the namespace, events apart.
func (w *world) versions() map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	for _, list := range []client.ObjectList{
		&v1alpha1.TriangleList{}, &appsv1.StatefulSetList{}, &appsv1.DeploymentList{}, &corev1.ServiceList{}, &corev1.ServiceAccountList{},
		&corev1.PersistentVolumeClaimList{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &policyv1.PodDisruptionBudgetList{}, &batchv1.JobList{},
		&corev1.SecretList{}, &corev1.ConfigMapList{},
	} {
		if err := w.client.List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
			w.t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, item := range items {
			o, _ := item.(client.Object)
			versions[fmt.Sprintf("%T %s", o, o.GetName())] = o.GetResourceVersion()
		}
	}
	return versions
}

// rests waits until the operator looks ten times and writes nothing.
func (w *world) rests() {
	w.t.Helper()
	before, looks := w.versions(), w.looks.Load()
	w.await("ten looks without a write", func() bool {
		if after := w.versions(); !maps.Equal(before, after) {
			before, looks = after, w.looks.Load()
		}
		return w.looks.Load() > looks+10
	})
}

func TestWhatOthersChangeIsPutRightAndWhatIsRightIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()

	service := &corev1.Service{}
	w.update("shop-sales", service, func() { service.Spec.Ports[0].Port = 1 })
	w.await("the port to be put right", func() bool { return w.read("shop-sales", service) && service.Spec.Ports[0].Port == 8082 })

	set := &appsv1.StatefulSet{}
	w.update("shop-channel", set, func() { set.Spec.Template.Spec.Containers[0].Image = "registry/channel:3" })
	w.await("the image to be put right", func() bool {
		return w.read("shop-channel", set) && set.Spec.Template.Spec.Containers[0].Image == "registry/channel:1"
	})
	w.update("shop-channel", set, func() { set.Spec.Template.Spec.Containers[0].Env[1].Value = "of somebody's own" })
	w.await("the setting to be put right", func() bool {
		return w.read("shop-channel", set) && set.Spec.Template.Spec.Containers[0].Env[1].Value == "registry/channel:1"
	})
	// What can't be put right, as two owners' fields exclude each other, is told.
	w.update("shop-channel", set, func() {
		set.Spec.Template.Spec.Containers[0].Env[0] = corev1.EnvVar{Name: "TRIANGLE_EVENTSTORE", Value: "esdb://elsewhere:2113"}
	})
	w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, "may not be specified when `value` is not empty; undo what somebody has changed there")
	w.update("shop-channel", set, func() {
		set.Spec.Template.Spec.Containers[0].Env[0] = corev1.EnvVar{Name: "TRIANGLE_EVENTSTORE"}
	})
	w.await("the store again", func() bool {
		return w.read("shop-channel", set) && set.Spec.Template.Spec.Containers[0].Env[0].ValueFrom != nil
	})

	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "shop-marketing", Namespace: w.namespace}}
	if err := w.client.Delete(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	w.await("what was deleted to come back", func() bool { return w.read("shop-marketing", account) })

	// What others add beside it is theirs.
	w.update("shop-sales", service, func() { service.Annotations["example.org/theirs"] = "yes" })
	w.rests()
	if w.read("shop-sales", service); service.Annotations["example.org/theirs"] != "yes" {
		t.Error("what somebody else added is gone")
	}

	// What the spec leaves out again goes.
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Pods.NodeSelector = map[string]string{"disk": "ssd"} })
	w.await("the selector", func() bool { return w.read("shop-sales", set) && set.Spec.Template.Spec.NodeSelector["disk"] == "ssd" })
	w.change(func(t *v1alpha1.Triangle) { t.Spec.Pods.NodeSelector = nil })
	w.await("the selector's end", func() bool { return w.read("shop-sales", set) && set.Spec.Template.Spec.NodeSelector == nil })
}

// On PostgreSQL several replicas run; an autoscaler takes their number over as it is.
func TestAnAutoscalerTakesTheNumberOfReplicasOver(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "database", Namespace: w.namespace}, Data: map[string][]byte{"url": []byte("postgres://user@host/db")},
	})
	triangle, three := w.triangle(), int32(3)
	pg := &v1alpha1.Postgres{URLSecretRef: v1alpha1.SecretKey{Name: "database", Key: "url"}}
	triangle.Spec.Database = v1alpha1.Database{Postgres: pg}
	triangle.Spec.KeyRing.Postgres = pg
	triangle.Spec.Channel.Replicas = &three
	w.create(triangle)
	w.serves()
	d, budget, scaler := &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &autoscalingv2.HorizontalPodAutoscaler{}
	if !w.read("shop-channel", d) || *d.Spec.Replicas != 3 || d.Spec.Strategy.RollingUpdate.MaxUnavailable.String() != "0" {
		t.Errorf("channel has %+v", d.Spec)
	}
	if !w.read("shop-channel", budget) || *budget.Spec.MaxUnavailable != intstr.FromInt32(1) || w.read("shop-sales", &policyv1.PodDisruptionBudget{}) {
		t.Error("three replicas have a disruption budget, and one has none")
	}

	w.change(func(t *v1alpha1.Triangle) {
		t.Spec.Channel.Replicas, t.Spec.Channel.Autoscaling = nil, &v1alpha1.Autoscaling{MinReplicas: 1, MaxReplicas: 5, CPUPercent: 60}
	})
	w.await("the autoscaler", func() bool { return w.read("shop-channel", scaler) })
	w.await("the budget's end", func() bool { return !w.read("shop-channel", budget) })
	w.serves()
	if w.read("shop-channel", d); *d.Spec.Replicas != 3 {
		t.Errorf("%d replicas when they were handed over, want 3", *d.Spec.Replicas)
	}
	w.update("shop-channel", d, func() { *d.Spec.Replicas = 5 }) // as the autoscaler does
	looks := w.looks.Load()
	w.await("ten more looks", func() bool { return w.looks.Load() > looks+10 })
	if w.read("shop-channel", d); *d.Spec.Replicas != 5 {
		t.Errorf("%d replicas, want the autoscaler's 5", *d.Spec.Replicas)
	}

	w.change(func(t *v1alpha1.Triangle) { t.Spec.Channel.Replicas, t.Spec.Channel.Autoscaling = &three, nil })
	w.await("the autoscaler's end", func() bool { return !w.read("shop-channel", scaler) })
	w.await("three again", func() bool { return w.read("shop-channel", d) && *d.Spec.Replicas == 3 })
}

func TestWhatTheSpecCannotMeanIsStalledWithWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1alpha1.Triangle)
		want   string
	}{
		"a Secret that is not there": {
			func(t *v1alpha1.Triangle) { t.Spec.EventStore.ConnectionSecretRef.Name = "nowhere" },
			"there is no Secret nowhere: make one with the key connection",
		},
		"a key that is not in it": {
			func(t *v1alpha1.Triangle) { t.Spec.EventStore.ConnectionSecretRef.Key = "url" },
			"the Secret store has no key url: add it",
		},
		"a connection string of something else": {
			func(t *v1alpha1.Triangle) { t.Spec.EventStore.ConnectionSecretRef.Name = "odd" },
			"write esdb://host:2113 for one node",
		},
		"a CA that is no certificate": {
			func(t *v1alpha1.Triangle) {
				t.Spec.EventStore.CASecretRef = &v1alpha1.SecretKey{Name: "odd", Key: "connection"}
			},
			"write PEM, which begins with -----BEGIN CERTIFICATE-----",
		},
		"a setting's Secret": {
			func(t *v1alpha1.Triangle) {
				t.Spec.Channel.Env = []v1alpha1.Variable{{Name: "TRIANGLE_SMTP", SecretRef: &v1alpha1.SecretKey{Name: "mail", Key: "url"}}}
			},
			"there is no Secret mail: make one with the key url",
		},
		"a deadline that is none": {
			func(t *v1alpha1.Triangle) { t.Spec.Rollout.Deadline = "1s2m" }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			triangle := w.triangle()
			tc.change(triangle)
			if tc.want == "" { // the schema sees it
				if err := w.client.Create(t.Context(), triangle); !apierrors.IsInvalid(err) {
					t.Errorf("created with %v, want it refused", err)
				}
				return
			}
			w.create(&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: "odd", Namespace: w.namespace},
				Data:       map[string][]byte{"connection": []byte("https://store:2113")},
			})
			w.create(triangle)
			w.stands(v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.want)
			w.change(func(t *v1alpha1.Triangle) { t.Spec = w.triangle().Spec })
			w.serves()
		})
	}
}

func TestANamespaceHasOneTriangle(t *testing.T) {
	w := newWorld(t)
	w.create(w.triangle())
	w.serves()
	w.clock.advance(time.Minute)
	second := w.triangle()
	second.Name = "zoo"
	w.create(second)
	w.await("the second to be stalled", func() bool {
		w.read("zoo", second)
		c := meta.FindStatusCondition(second.Status.Conditions, v1alpha1.ConditionStalled)
		return c != nil && strings.Contains(c.Message, "has the Triangle shop already: delete one of the two")
	})
	if w.read("zoo-channel", &corev1.Service{}) {
		t.Error("it has objects of its own")
	}
	w.serves() // the first does not mind
}
