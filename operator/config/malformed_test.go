package config_test

import (
	"context"
	"errors"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
)

// A duration that an older schema let in stays in etcd, whatever the schema says now.
// All flows can be read nevertheless, by their types; this one says what is wrong; and
// what has nothing to do with it can be changed.
func TestADurationOfAnOlderSchemaBreaksNoList(t *testing.T) {
	server := apitest.Start(t)
	for name, tc := range map[string]struct {
		schema apiextensionsv1.JSONSchemaProps
		stored any
		read   v1alpha1.Duration
	}{
		"text that is no duration": {apiextensionsv1.JSONSchemaProps{Type: "string"}, "soon", "soon"},
		"a number":                 {apiextensionsv1.JSONSchemaProps{Type: "integer"}, 3, "3"},
		"a choice":                 {apiextensionsv1.JSONSchemaProps{Type: "boolean"}, true, "true"},
	} {
		t.Run(name, func(t *testing.T) {
			c, namespace := server.Client(t), server.Namespace(t)
			underSchema(t, c, tc.schema, func() {
				if err := c.Create(t.Context(), lasting(t, namespace, tc.stored)); err != nil {
					t.Fatal(err)
				}
			})
			if err := c.Create(t.Context(), sample(t, "flow-daily", namespace)); err != nil {
				t.Fatal(err)
			}

			var all v1alpha1.InformationFlowList
			if err := c.List(t.Context(), &all, client.InNamespace(namespace)); err != nil {
				t.Fatalf("one flow keeps all from being read: %v", err)
			}
			if len(all.Items) != 2 {
				t.Fatalf("%d flows are read, want 2", len(all.Items))
			}
			got := all.Items[0].Spec.Migration.Steps[0].Gates[0].For
			if got != tc.read {
				t.Errorf("it is read as %q, want %q", got, tc.read)
			}
			if _, err := got.Parse(); !errors.Is(err, v1alpha1.ErrDuration) {
				t.Errorf("it says %v, want what to write", err)
			}
			told := all.Items[0]
			told.Status.PlanHash = "9f2c64d1"
			checkVerdict(t, c.Status().Update(t.Context(), &told), "")
		})
	}
}

// underSchema does something while a gate's duration has another schema.
func underSchema(t *testing.T, c client.Client, schema apiextensionsv1.JSONSchemaProps, do func()) {
	t.Helper()
	before := setSchema(t, c, schema)
	defer func() {
		setSchema(t, c, before)
		awaitSchema(t, c, before)
	}()
	awaitSchema(t, c, schema)
	do()
}

// setSchema has a gate's duration follow a schema, and returns the one before.
func setSchema(t *testing.T, c client.Client, schema apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	var crd apiextensionsv1.CustomResourceDefinition
	if err := c.Get(t.Context(), client.ObjectKey{Name: "informationflows.triangle.dev"}, &crd); err != nil {
		t.Fatal(err)
	}
	gate := gateSchema(&crd)
	before := gate.Properties["for"]
	gate.Properties["for"] = schema
	if err := c.Update(t.Context(), &crd); err != nil {
		t.Fatal(err)
	}
	return before
}

// awaitSchema waits until the API server goes by a schema.
func awaitSchema(t *testing.T, c client.Client, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	of := map[string]any{"string": "soon", "integer": 3, "boolean": true}[schema.Type]
	lax := schema.Pattern == ""
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = c.Create(ctx, lasting(t, metav1.NamespaceDefault, of), client.DryRunAll)
		return (last == nil) == lax, nil
	})
	if err != nil {
		t.Fatalf("the API server does not go by the schema: %v (%v)", err, last)
	}
}

// lasting is a flow with a gate that lasts.
func lasting(t *testing.T, namespace string, duration any) *unstructured.Unstructured {
	t.Helper()
	o := sample(t, "flow-daily", namespace)
	o.SetName("bad")
	change{"spec.migration.steps.0.gates": list{object{"name": "lag", "lag": object{"maxEvents": 0}, "for": duration}}}.apply(t, o)
	return o
}

func gateSchema(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
	at := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, field := range []string{"spec", "migration", "steps", "", "gates", ""} {
		if field == "" {
			at = at.Items.Schema
			continue
		}
		next := at.Properties[field]
		at = &next
	}
	return at
}
