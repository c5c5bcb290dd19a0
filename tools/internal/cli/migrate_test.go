package cli

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/config"
)

// withCluster ends the API server, if a script has started one.
type withCluster struct{ *testing.M }

// Run runs the tests.
func (w withCluster) Run() int { return apitest.Run(w.M) }

// clusterKey is what a script's own test is kept under.
type clusterKey struct{}

// cluster leads the script to a namespace of a real API server: as anna, who may
// approve, ed, who may steer, vic, who may look, olga, who may look everywhere, and
// nobody, who may do nothing.
func cluster(ts *testscript.TestScript, _ bool, _ []string) {
	t, ok := ts.Value(clusterKey{}).(testing.TB)
	if !ok {
		ts.Fatalf("not run by go test")
	}
	server := apitest.Start(t)
	admin := server.Client(t)
	namespace := server.Namespace(t)
	roles, err := apitest.Manifests(config.RBAC + "/people.yaml")
	ts.Check(err)
	for _, role := range roles {
		ts.Check(client.IgnoreAlreadyExists(admin.Create(t.Context(), role)))
	}
	who := map[string]*rest.Config{"olga": server.User(t, "olga@example.com")}
	ts.Check(client.IgnoreAlreadyExists(admin.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "olga"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "triangle-viewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "olga@example.com"}},
	})))
	for name, role := range map[string]string{"anna": "approver", "ed": "editor", "vic": "viewer", "nobody": ""} {
		user := name + "@example.com"
		who[name] = server.User(t, user)
		if role != "" {
			ts.Check(admin.Create(t.Context(), &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "triangle-" + role},
				Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
			}))
		}
	}
	ts.Setenv("NAMESPACE", namespace)
	ts.Setenv("KUBECONFIG", server.Kubeconfig(t, namespace, who))
}

// admin is who may do everything in the script's namespace.
func admin(ts *testscript.TestScript) (client.Client, string) {
	t, ok := ts.Value(clusterKey{}).(testing.TB)
	if !ok {
		ts.Fatalf("not run by go test")
	}
	return apitest.Start(t).Client(t), ts.Getenv("NAMESPACE")
}

// apply FILE makes an object what the file says, as who declares it would; and its
// status, as the operator would, which has looked at it as it is then unless the
// file says otherwise.
func apply(ts *testscript.TestScript, _ bool, args []string) {
	c, namespace := admin(ts)
	objects, err := apitest.Decode([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ctx := context.Background()
	for _, wanted := range objects {
		wanted.SetNamespace(namespace)
		status, told := wanted.Object["status"].(map[string]any)
		there := &unstructured.Unstructured{}
		there.SetGroupVersionKind(wanted.GroupVersionKind())
		err := c.Get(ctx, client.ObjectKeyFromObject(wanted), there)
		if apierrors.IsNotFound(err) {
			ts.Check(c.Create(ctx, wanted))
		} else {
			ts.Check(err)
			wanted.SetResourceVersion(there.GetResourceVersion())
			wanted.SetAnnotations(there.GetAnnotations())
			ts.Check(c.Update(ctx, wanted))
		}
		if told {
			if _, said := status["observedGeneration"]; !said {
				status["observedGeneration"] = wanted.GetGeneration()
			}
			wanted.Object["status"] = status
			ts.Check(c.Status().Update(ctx, wanted))
		}
	}
}

// remove-kinds takes our kinds from the cluster, until the script ends.
func removeKinds(ts *testscript.TestScript, _ bool, _ []string) {
	c, _ := admin(ts)
	kinds, err := apitest.Manifests(config.CRD)
	ts.Check(err)
	ts.Defer(func() { restoreKinds(ts, c) })
	ctx := context.Background()
	for _, kind := range kinds {
		ts.Check(c.Delete(ctx, kind))
	}
	ts.Check(until(ctx, func() bool {
		return apierrors.IsNotFound(c.List(ctx, &v1alpha1.InformationFlowList{}))
	}))
}

func restoreKinds(ts *testscript.TestScript, c client.Client) {
	ctx := context.Background()
	kinds, err := apitest.Manifests(config.CRD)
	ts.Check(err)
	for _, kind := range kinds {
		ts.Check(until(ctx, func() bool { return c.Create(ctx, kind) == nil }))
	}
	ts.Check(until(ctx, func() bool { return c.List(ctx, &v1alpha1.InformationFlowList{}) == nil }))
}

// until waits until something is so.
func until(ctx context.Context, is func() bool) error {
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return is(), nil })
}

// approved FLOW STEP PLAN WHO checks that there is one approval, and of what it is.
func approved(ts *testscript.TestScript, neg bool, args []string) {
	c, namespace := admin(ts)
	var all v1alpha1.FlowApprovalList
	ts.Check(c.List(context.Background(), &all, client.InNamespace(namespace)))
	var got []string
	for i := range all.Items {
		spec := all.Items[i].Spec
		got = append(got, strings.Join([]string{spec.Flow, spec.Step, spec.PlanHash, spec.ApprovedBy, spec.Reason}, " "))
	}
	want := strings.Join(args, " ")
	if found := len(got) == 1 && got[0] == want; found == neg {
		ts.Fatalf("the approvals are %q, want %q", got, want)
	}
}

// annotated FLOW ANNOTATION PATTERN checks what the flow was asked.
func annotated(ts *testscript.TestScript, neg bool, args []string) {
	c, namespace := admin(ts)
	var flow v1alpha1.InformationFlow
	ts.Check(c.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: args[0]}, &flow))
	value, there := flow.Annotations[args[1]]
	if neg {
		if there {
			ts.Fatalf("%s is annotated with %s: %q", args[0], args[1], value)
		}
		return
	}
	if !regexp.MustCompile(args[2]).MatchString(value) {
		ts.Fatalf("%s is annotated with %s: %q, want %s", args[0], args[1], value, args[2])
	}
}
