// Package workload says which objects an environment consists of: a pure function
// of a Triangle's spec and of which images are to serve. They are made for
// server-side apply, so they hold what the operator wants and nothing else.
//
//	embedded store   StatefulSet of one, Service; its volume stays
//	each service     SQLite: StatefulSet of one, a volume that one pod mounts
//	                 PostgreSQL: Deployment, HorizontalPodAutoscaler, PodDisruptionBudget
//	                 Service, ServiceAccount
//	an image         a Job that announces its contract, before it serves
//
// Secrets are never read: pods refer to them.
package workload

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// FieldOwner is who owns the fields of what is applied.
const FieldOwner = "triangle-operator"

// The labels by which objects are found.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelRole tells pods that serve from those that announce.
	LabelRole = "triangle.dev/role"
)

// The values of LabelRole.
const (
	roleServe    = "serve"
	roleAnnounce = "announce"
)

// Facts are what the spec does not say.
type Facts struct {
	// Serve is which image each service runs; a service that is not there has none
	// yet.
	Serve map[flows.Service]string
	// Announce is whose contract is wanted, and of which attempt: another attempt is
	// another Job.
	Announce map[flows.Service]Announcement
}

// Announcement is an image that is to announce its contract.
type Announcement struct{ Image, Attempt string }

// ErrNameTooLong says that the names that derive from a Triangle's don't fit.
var ErrNameTooLong = errors.New("give the Triangle a name of at most 35 characters: the names of its objects begin with it, and have to be names of hosts")

const longestName = 35

// Desired returns the objects of an environment, the ones that others need first.
// It fails with ErrNameTooLong and v1alpha1.ErrDuration.
func Desired(t *v1alpha1.Triangle, facts Facts) ([]*unstructured.Unstructured, error) {
	if len(t.Name) > longestName {
		return nil, fmt.Errorf("%s: %w", t.Name, ErrNameTooLong)
	}
	deadline, err := cmp.Or(t.Spec.Rollout.Deadline, "10m").Parse()
	if err != nil {
		return nil, fmt.Errorf("spec.rollout.deadline: %w", err)
	}
	b := builder{t: t, deadline: deadline}
	var all []runtime.Object
	all = append(all, b.store()...)
	if b.sharesKeys() {
		all = append(all, b.keys())
	}
	for _, service := range flows.Services {
		all = append(all, b.service(service, facts)...)
	}
	var desired []*unstructured.Unstructured
	for _, o := range all {
		u, err := applied(o)
		if err != nil {
			return nil, err
		}
		desired = append(desired, u)
	}
	return desired, nil
}

// builder makes the objects of one Triangle.
type builder struct {
	t        *v1alpha1.Triangle
	deadline time.Duration
}

// part is a component of the environment: the store, or a service.
type part struct {
	component string
	image     string
	role      string
}

// Name is what a component's objects are called.
func Name(t *v1alpha1.Triangle, component string) string { return t.Name + "-" + component }

// JobName is what the Job is called that announces an image.
func JobName(t *v1alpha1.Triangle, service flows.Service, a Announcement) string {
	sum := sha256.Sum256([]byte(a.Image + "\n" + a.Attempt))
	return Name(t, string(service)) + "-announce-" + hex.EncodeToString(sum[:])[:8]
}

// selector are the labels that a part's pods are found by, and that never change.
func (b builder) selector(p part) map[string]string {
	return map[string]string{LabelInstance: b.t.Name, LabelComponent: p.component, LabelRole: cmp.Or(p.role, roleServe)}
}

func (b builder) labels(p part) map[string]string {
	labels := map[string]string{
		LabelName: "triangle", LabelInstance: b.t.Name, LabelComponent: p.component,
		LabelPartOf: "triangle", LabelManagedBy: FieldOwner,
	}
	if p.role != "" {
		labels[LabelRole] = p.role
	}
	return labels
}

// podLabels are the part's own, which the spec's can't take away.
func (b builder) podLabels(p part) map[string]string {
	labels := maps.Clone(b.t.Spec.Pods.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, b.labels(p))
	maps.Copy(labels, b.selector(p))
	return labels
}

func (b builder) meta(p part, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: b.t.Namespace, Labels: b.labels(p), OwnerReferences: []metav1.OwnerReference{b.owner()},
	}
}

func (b builder) owner() metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Triangle", Name: b.t.Name, UID: b.t.UID,
		Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// applied leaves of an object what is said of it. What is empty would be owned, too.
func applied(o runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("make %T ready to be applied: %w", o, err)
	}
	delete(content, "status")
	prune(content)
	return &unstructured.Unstructured{Object: content}, nil
}

// emptyIsNothing are the fields whose emptiness says nothing; that of emptyDir does.
var emptyIsNothing = map[string]bool{"resources": true, "strategy": true, "updateStrategy": true, "status": true, "metadata": true}

func prune(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			prune(inner)
			if m, ok := inner.(map[string]any); inner == nil || ok && len(m) == 0 && emptyIsNothing[key] {
				delete(v, key)
			}
		}
	case []any:
		for _, inner := range v {
			prune(inner)
		}
	}
}

func ptr[T any](v T) *T { return &v }
