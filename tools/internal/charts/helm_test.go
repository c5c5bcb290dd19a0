package charts_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/triangle-suite/triangle/operator/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Run(m)) }

// helm is a helm program, with a kubeconfig where it is to reach a cluster.
type helm struct {
	t          *testing.T
	program    string
	kubeconfig string
}

// withEachHelm runs a test with each helm program that there is.
func withEachHelm(t *testing.T, test func(t *testing.T, h helm)) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes real processes")
	}
	programs := filepath.SplitList(os.Getenv("TRIANGLE_HELM"))
	if len(programs) == 0 {
		t.Fatal("TRIANGLE_HELM names no helm program: run make test-charts, which builds them once")
	}
	for _, program := range programs {
		t.Run(filepath.Base(filepath.Dir(program)), func(t *testing.T) { test(t, helm{t: t, program: program}) })
	}
}

// four tells that it is helm 4, which waits for objects of any kind.
func (h helm) four() bool { return strings.Contains(filepath.Base(filepath.Dir(h.program)), "v4") }

// in returns the program with the rights of somebody who may do everything.
func (h helm) in(server *apitest.Server, namespace string) helm {
	h.t.Helper()
	h.kubeconfig = server.Kubeconfig(h.t, namespace, map[string]*rest.Config{"admin": server.Config})
	return h
}

// run runs helm and returns what it prints, and how it ended.
func (h helm) run(args ...string) (out string, err error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, args...)
	home := h.t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+h.kubeconfig)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err = cmd.Run()
	return both.String(), err
}

// must runs helm, which has to succeed.
func (h helm) must(args ...string) string {
	h.t.Helper()
	out, err := h.run(args...)
	if err != nil {
		h.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// registry is where the images are; no test pulls one.
const registry = "image.registry=registry.example.com/triangle"

// chart is the path of a chart.
func chart(name string) string { return filepath.Join(folder, name) }

// profile are the arguments that choose one of a chart's profiles.
func profile(name string) []string {
	return []string{chart("triangle"), "--set", registry, "--values", filepath.Join(chart("triangle"), "values-"+name+".yaml")}
}

// rendered are the objects that a chart makes.
type rendered struct {
	t       *testing.T
	objects []*unstructured.Unstructured
}

// render renders a chart as a release of namespace shop.
func (h helm) render(args ...string) rendered {
	h.t.Helper()
	out := h.must(append([]string{"template", "shop", "--namespace", "shop"}, args...)...)
	objects, err := apitest.Decode([]byte(out))
	if err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return rendered{h.t, objects}
}

// of returns the objects of a kind.
func (r rendered) of(kind string) (all []*unstructured.Unstructured) {
	for _, o := range r.objects {
		if o.GetKind() == kind {
			all = append(all, o)
		}
	}
	return all
}

// the returns the one object of a kind, and of a name where it is not empty.
func (r rendered) the(kind, name string) *unstructured.Unstructured {
	r.t.Helper()
	var found []*unstructured.Unstructured
	for _, o := range r.of(kind) {
		if name == "" || o.GetName() == name {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("there are %d of kind %s %s, want 1", len(found), kind, name)
	}
	return found[0]
}
