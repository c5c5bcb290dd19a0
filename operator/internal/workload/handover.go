package workload

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// HandoverOwner holds the number of replicas for the autoscaler.
const HandoverOwner = FieldOwner + "-handover"

// Handover returns what to apply as HandoverOwner before a service's number of
// replicas is left out of what the operator applies; nil when nothing is. The
// cluster sets a field back to its default, here 1, when its last owner drops it.
func Handover(t *v1alpha1.Triangle, service flows.Service, live *appsv1.Deployment) *unstructured.Unstructured {
	if SpecOf(t, service).Autoscaling == nil || live == nil || live.Spec.Replicas == nil || !ownsReplicas(live) {
		return nil
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": live.Name, "namespace": live.Namespace},
		"spec":     map[string]any{"replicas": int64(*live.Spec.Replicas)},
	}}
}

// ownsReplicas tells whether the operator is the one that says how many run.
func ownsReplicas(live *appsv1.Deployment) bool {
	for _, entry := range live.ManagedFields {
		applied := entry.Manager == FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply
		if applied && entry.Subresource == "" && entry.FieldsV1 != nil && strings.Contains(string(entry.FieldsV1.GetRawBytes()), `"f:replicas"`) {
			return true
		}
	}
	return false
}
