package controller

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A replica that serves still with the image before counts for nothing: where the new
// image never gets ready, none is told of as ready with it.
func TestOnlyReplicasWithTheImageCount(t *testing.T) {
	for name, tc := range map[string]struct {
		replicas, updated, available int32
		want                         string
	}{
		"two as before, and the first new one starts":     {3, 1, 2, "0 of 2 replicas are ready with it"},
		"the first new one is ready":                      {3, 1, 3, "1 of 2 replicas are ready with it"},
		"one as before, which waits for the second to be": {3, 2, 2, "1 of 2 replicas are ready with it"},
		"both are ready, and an old one has yet to end":   {3, 2, 3, "2 of 2 replicas are ready with it"},
		"an old one that was there has died":              {3, 1, 1, "0 of 2 replicas are ready with it"},
		"both are ready, and alone":                       {2, 2, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			two := int32(2)
			d := &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Generation: 4},
				Spec: appsv1.DeploymentSpec{
					Replicas: &two,
					Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "registry/channel:2"}}}},
				},
				Status: appsv1.DeploymentStatus{
					ObservedGeneration: 4, Replicas: tc.replicas, UpdatedReplicas: tc.updated, AvailableReplicas: tc.available, ReadyReplicas: tc.available,
				},
			}
			if got := ofDeployment(d).trouble; got != tc.want {
				t.Errorf("its trouble is %q, want %q", got, tc.want)
			}
		})
	}
}
