package config_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/config"
)

// sample returns an example, in a namespace.
func sample(t *testing.T, name, namespace string) *unstructured.Unstructured {
	t.Helper()
	objects, err := apitest.Manifests(config.Samples + "/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 1 {
		t.Fatalf("%s holds %d objects, want 1", name, len(objects))
	}
	objects[0].SetNamespace(namespace)
	return objects[0]
}

// Every example is taken as it is written, by an API server that lets no field pass
// that a kind does not have.
func TestTheExamplesAreAdmitted(t *testing.T) {
	server := apitest.Start(t)
	namespace := server.Namespace(t)
	objects, err := apitest.Manifests(config.Samples)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, o := range objects {
		o.SetNamespace(namespace)
		who := server.Config
		if by, found, err := unstructured.NestedString(o.Object, "spec", "approvedBy"); found || err != nil {
			who = server.User(t, by, "system:masters")
		}
		if err := server.ClientOf(t, who).Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Errorf("%s %s%s: %v", o.GetKind(), o.GetName(), o.GetGenerateName(), err)
		}
		kinds[o.GetKind()] = true
	}
	if len(kinds) != 3 {
		t.Errorf("there are examples of %v, want them of all three kinds", kinds)
	}
}

func TestTheExamplesAreOfFlowsThatThereAre(t *testing.T) {
	objects, err := apitest.Manifests(config.Samples)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		name, found, err := unstructured.NestedString(o.Object, "spec", "flow")
		if err != nil {
			t.Fatal(err)
		}
		if found && !slices.ContainsFunc(flows.Catalogue, func(f flows.Flow) bool { return f.Name == name }) {
			t.Errorf("%s: the catalogue has no flow %q", o.GetName(), name)
		}
	}
}

// What a spec leaves out is there when it is read: whoever looks at an object sees
// what holds.
func TestWhatIsLeftOutIsFilledIn(t *testing.T) {
	server := apitest.Start(t)
	namespace := server.Namespace(t)
	c := server.Client(t)

	for _, name := range []string{"triangle-evaluation", "flow-to-real-time"} {
		if err := c.Create(t.Context(), sample(t, name, namespace)); err != nil {
			t.Fatal(err)
		}
	}
	var triangle v1alpha1.Triangle
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "triangle"}, &triangle); err != nil {
		t.Fatal(err)
	}
	if got, want := triangle.Spec.Rollout, (v1alpha1.Rollout{Deadline: "10m", Observe: "1m", MaxErrorPercent: "1", OnFailure: v1alpha1.RollBack}); got != want {
		t.Errorf("the rollout is %+v, want %+v", got, want)
	}
	var flow v1alpha1.InformationFlow
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "request-status"}, &flow); err != nil {
		t.Fatal(err)
	}
	if got := flow.Spec.Migration.Steps[1].Gates[0].Effect; got != v1alpha1.Enforce {
		t.Errorf("a gate's effect is %q, want %q", got, v1alpha1.Enforce)
	}
}
