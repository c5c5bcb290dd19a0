package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/workload"
)

// annotationApplied is the digest of what was applied. What is left out since has to
// be applied, too, and nothing but the digest shows that.
const annotationApplied = "triangle.dev/applied"

// apply brings one object to what is desired, and writes nothing when it is so. The
// resourceVersion that was read goes with it: who was deposed since gets a conflict.
func (r *Triangles) apply(ctx context.Context, desired *unstructured.Unstructured) error {
	digest, err := digestOf(desired)
	if err != nil {
		return err
	}
	desired.SetAnnotations(map[string]string{annotationApplied: digest})
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(desired.GroupVersionKind())
	err = r.Reader.Get(ctx, client.ObjectKeyFromObject(desired), live)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("read %s %s: %w", desired.GetKind(), desired.GetName(), err)
	case holds(live.Object, desired.Object):
		return nil
	default:
		desired.SetResourceVersion(live.GetResourceVersion())
	}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(workload.FieldOwner), client.ForceOwnership)
	if apierrors.IsInvalid(err) && desired.GetKind() == "Service" && live.GetResourceVersion() != "" {
		err = r.replacePorts(ctx, desired)
	}
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", desired.GetKind(), desired.GetName(), err)
	}
	return nil
}

// replacePorts puts a Service's ports in place as a whole. Ports are told apart by
// their numbers: one that somebody has renumbered is another one, whose name stands in
// the way.
func (r *Triangles) replacePorts(ctx context.Context, desired *unstructured.Unstructured) error {
	ports, _, err := unstructured.NestedFieldNoCopy(desired.Object, "spec", "ports")
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": desired.GetResourceVersion()}, "spec": map[string]any{"ports": ports},
	})
	if err != nil {
		return err
	}
	return r.Client.Patch(ctx, desired, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(workload.FieldOwner))
}

func digestOf(u *unstructured.Unstructured) (string, error) {
	text, err := json.Marshal(u.Object) // the keys of maps are in order
	if err != nil {
		return "", fmt.Errorf("digest of %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// holds tells whether all that is desired is so, whatever else is there.
func holds(live, desired any) bool {
	switch want := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		for key := range want {
			ok = ok && holds(have[key], want[key])
		}
		return ok
	case []any:
		have, ok := live.([]any)
		if !ok || len(have) < len(want) {
			return false
		}
		for i := range want {
			if !holds(counterpart(have, want[i], i), want[i]) {
				return false
			}
		}
		return len(have) == len(want) || named(want)
	default:
		return live == desired
	}
}

// counterpart returns the item of a list that another one stands for: the one of its
// name, where items have names, else the one at its place.
func counterpart(have []any, item any, i int) any {
	if name, ok := nameOf(item); ok {
		for _, other := range have {
			if its, _ := nameOf(other); its == name {
				return other
			}
		}
		return nil
	}
	return have[i]
}

// named tells whether the items of a list have names: then others may add some.
func named(items []any) bool {
	for _, item := range items {
		if _, ok := nameOf(item); !ok {
			return false
		}
	}
	return true
}

func nameOf(item any) (string, bool) {
	m, ok := item.(map[string]any)
	if !ok {
		return "", false
	}
	name, ok := m["name"].(string)
	return name, ok
}

// applyAll brings all objects to what is desired, and takes away what is not any
// more.
func (r *Triangles) applyAll(ctx context.Context, t *v1alpha1.Triangle, facts workload.Facts) error {
	desired, err := workload.Desired(t, facts)
	if err != nil {
		return err
	}
	for _, service := range flows.Services {
		if err := r.handOver(ctx, t, service); err != nil {
			return err
		}
	}
	keep := map[string]bool{}
	for _, object := range desired {
		keep[object.GetKind()+"/"+object.GetName()] = true
		if err := r.apply(ctx, object); err != nil {
			return err
		}
	}
	return r.prune(ctx, t, keep)
}

// handOver lets the autoscaler say how many replicas run, before the operator says
// so no more.
func (r *Triangles) handOver(ctx context.Context, t *v1alpha1.Triangle, service flows.Service) error {
	if workload.SpecOf(t, service).Autoscaling == nil {
		return nil
	}
	var live appsv1.Deployment
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: workload.Name(t, workload.Component(service))}, &live)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the Deployment of %s: %w", service, err)
	}
	u := workload.Handover(t, service, &live)
	if u == nil {
		return nil
	}
	u.SetResourceVersion(live.ResourceVersion)
	if err := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(workload.HandoverOwner)); err != nil {
		return fmt.Errorf("hand the replicas of %s over: %w", service, err)
	}
	return nil
}

// pruned are the kinds of which an environment may need one less. Workloads and
// volumes are never taken away but with their Triangle.
var pruned = []schema.GroupVersionKind{
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
}

func (r *Triangles) prune(ctx context.Context, t *v1alpha1.Triangle, keep map[string]bool) error {
	for _, kind := range pruned {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind)
		err := r.Reader.List(ctx, list, client.InNamespace(t.Namespace), client.MatchingLabels{
			workload.LabelInstance: t.Name, workload.LabelManagedBy: workload.FieldOwner,
		})
		if err != nil {
			return fmt.Errorf("list %ss: %w", kind.Kind, err)
		}
		for i := range list.Items {
			object := &list.Items[i]
			if keep[kind.Kind+"/"+object.Name] || !metav1.IsControlledBy(object, t) || object.DeletionTimestamp != nil {
				continue
			}
			object.SetGroupVersionKind(kind)
			err := r.Client.Delete(ctx, object, client.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion},
				client.PropagationPolicy(metav1.DeletePropagationBackground))
			if client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete %s %s: %w", kind.Kind, object.Name, err)
			}
		}
	}
	return nil
}
