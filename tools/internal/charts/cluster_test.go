package charts_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/config"
)

// patience is for a machine that is busy with other things.
const patience = 2 * time.Minute

// cluster is a Kubernetes API that a test may do anything with.
type cluster struct {
	t      *testing.T
	server *apitest.Server
	admin  client.Client
}

// bare is one with nothing of ours, as a new cluster has it. All tests share one: none
// runs beside another.
func bare(t *testing.T) cluster {
	t.Helper()
	server := apitest.Start(t)
	c := cluster{t, server, server.Client(t)}
	for _, from := range []string{config.CRD, config.Admission, config.RBAC} {
		objects, err := apitest.Manifests(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if kind := o.GetKind(); kind == "Role" || kind == "RoleBinding" || kind == "ServiceAccount" {
				continue
			}
			if err := client.IgnoreNotFound(c.admin.Delete(t.Context(), o)); err != nil {
				t.Fatal(err)
			}
			c.until(o.GetKind()+" "+o.GetName()+" is gone", func(ctx context.Context) (bool, error) {
				err := c.admin.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy())
				return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
			})
		}
	}
	return c
}

// monitored has the kinds of Prometheus Operator in the cluster.
func (c cluster) monitored() {
	c.t.Helper()
	files, err := filepath.Glob("testdata/monitoring/*.yaml")
	if err != nil || len(files) != 2 {
		c.t.Fatalf("the kinds are %q: %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		objects, err := apitest.Decode(text)
		if err != nil {
			c.t.Fatal(err)
		}
		if err := c.admin.Create(c.t.Context(), objects[0]); err != nil && !apierrors.IsAlreadyExists(err) {
			c.t.Fatal(err)
		}
		c.served(objects[0].GetName())
	}
}

// served waits until a kind can be used.
func (c cluster) served(name string) {
	c.t.Helper()
	c.until(name+" is served", func(context.Context) (bool, error) {
		kind, err := c.find("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
		if err != nil {
			return false, client.IgnoreNotFound(err)
		}
		status, _, err := unstructured.NestedMap(kind.Object, "status")
		conditions, _ := status["conditions"].([]any) // null at first, where the manifest says so
		return slices.ContainsFunc(conditions, func(one any) bool {
			of, ok := one.(map[string]any)
			return ok && of["type"] == "Established" && of["status"] == "True"
		}), err
	})
}

func (c cluster) until(what string, so func(context.Context) (bool, error)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, so); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// find looks an object up.
func (c cluster) find(version, kind, namespace, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.FromAPIVersionAndKind(version, kind))
	return o, c.admin.Get(c.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
}

// is wants an object to be there, or not.
func (c cluster) is(there bool, version, kind, namespace, name string) {
	c.t.Helper()
	_, err := c.find(version, kind, namespace, name)
	if client.IgnoreNotFound(err) != nil || there == apierrors.IsNotFound(err) {
		c.t.Errorf("%s %s is to be there: %t, but asking for it comes to %v", kind, name, there, err)
	}
}

// field is a text within an object.
func (c cluster) field(o *unstructured.Unstructured, path string) string {
	c.t.Helper()
	text, _, err := unstructured.NestedString(o.Object, strings.Split(path, ".")...)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// refuses wants helm to fail, and to say so.
func (h helm) refuses(want string, args ...string) {
	h.t.Helper()
	out, err := h.run(args...)
	if err == nil || !strings.Contains(out, want) {
		h.t.Errorf("helm %s ends with %v, want %q in\n%s", strings.Join(args, " "), err, want, out)
	}
}

// copyChart makes a copy of a chart for a test to change.
func copyChart(t *testing.T, name string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(to, os.DirFS(chart(name))); err != nil {
		t.Fatal(err)
	}
	return to
}
