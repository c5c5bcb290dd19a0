package apitest

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/triangle-suite/triangle/operator/config"
)

// Operator returns who may do in a namespace what the manifests let the operator do,
// and nothing else.
func (s *Server) Operator(t testing.TB, namespace string) *rest.Config {
	t.Helper()
	who := s.ServiceAccount(t, namespace, "triangle-operator")
	objects, err := Manifests(config.RBAC)
	if err != nil {
		t.Fatal(err)
	}
	admin := s.Client(t)
	for _, o := range objects {
		if o.GetKind() != "ClusterRole" {
			o.SetNamespace(namespace)
		}
		if o.GetKind() == "RoleBinding" {
			if err := bindTo(o, namespace); err != nil {
				t.Fatal(err)
			}
		}
		if err := admin.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	return who
}

// bindTo has a binding of a manifest be about accounts of another namespace.
func bindTo(binding *unstructured.Unstructured, namespace string) error {
	subjects, _, err := unstructured.NestedSlice(binding.Object, "subjects")
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if of, ok := subject.(map[string]any); ok {
			of["namespace"] = namespace
		}
	}
	return unstructured.SetNestedSlice(binding.Object, subjects, "subjects")
}
