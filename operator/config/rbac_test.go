package config_test

import (
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
)

// cast is a namespace with the operator, and people with one role each.
type cast struct {
	namespace string
	who       map[string]*rest.Config
}

// assemble applies the manifests of who may do what, as an administrator would.
func assemble(t *testing.T, server *apitest.Server) cast {
	t.Helper()
	c := cast{namespace: server.Namespace(t), who: map[string]*rest.Config{}}
	c.who["operator"] = server.Operator(t, c.namespace)
	admin := server.Client(t)
	for person, role := range map[string]string{"anna": "approver", "vic": "viewer", "ed": "editor", "nobody": ""} {
		c.who[person] = server.User(t, person+"@example.com")
		if role != "" {
			bind(t, admin, c.namespace, person+"@example.com", "triangle-"+role)
		}
	}
	return c
}

func bind(t *testing.T, admin client.Client, namespace, user, role string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.ReplaceAll(user, "@", "-")},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
}

var everyVerb = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

var (
	reads   = []string{"get", "list", "watch"}
	applies = []string{"get", "list", "watch", "create", "patch", "delete"}
	tells   = []string{"get", "update", "patch"}
	edits   = []string{"get", "list", "watch", "create", "update", "patch", "delete"}
)

// may is who can do what with a resource, and nothing else.
var may = map[string]map[string][]string{
	"triangles.triangle.dev":                 {"operator": reads, "anna": reads, "vic": reads, "ed": edits},
	"informationflows.triangle.dev":          {"operator": reads, "anna": reads, "vic": reads, "ed": edits},
	"flowapprovals.triangle.dev":             {"operator": reads, "anna": {"get", "list", "watch", "create"}, "vic": reads, "ed": reads},
	"triangles/status.triangle.dev":          {"operator": tells},
	"triangles/finalizers.triangle.dev":      {"operator": {"update"}},
	"informationflows/status.triangle.dev":   {"operator": tells},
	"flowapprovals/status.triangle.dev":      {"operator": tells},
	"deployments.apps":                       {"operator": applies},
	"statefulsets.apps":                      {"operator": applies},
	"daemonsets.apps":                        {},
	"services.":                              {"operator": applies},
	"serviceaccounts.":                       {"operator": applies},
	"serviceaccounts/token.":                 {},
	"configmaps.":                            {},
	"jobs.batch":                             {"operator": applies},
	"horizontalpodautoscalers.autoscaling":   {"operator": applies},
	"poddisruptionbudgets.policy":            {"operator": applies},
	"secrets.":                               {"operator": reads},
	"pods.":                                  {"operator": reads},
	"pods/exec.":                             {},
	"persistentvolumeclaims.":                {"operator": {"get", "list", "watch", "create", "patch"}},
	"leases.coordination.k8s.io":             {"operator": {"get", "create", "update", "patch"}},
	"events.":                                {"operator": {"create", "patch"}},
	"events.events.k8s.io":                   {"operator": {"create", "patch"}},
	"roles.rbac.authorization.k8s.io":        {},
	"rolebindings.rbac.authorization.k8s.io": {},
	"namespaces.":                            {},
	"validatingadmissionpolicies.admissionregistration.k8s.io": {},
}

// Each asks the API server itself what he may do, in his namespace and in another one.
func TestWhoMayDoWhat(t *testing.T) {
	server := apitest.Start(t)
	c := assemble(t, server)
	elsewhere := server.Namespace(t)
	for person, who := range c.who {
		t.Run(person, func(t *testing.T) {
			me := server.ClientOf(t, who)
			for resource, allowed := range may {
				for _, verb := range everyVerb {
					if got, want := can(t, me, c.namespace, verb, resource), slices.Contains(allowed[person], verb); got != want {
						t.Errorf("%s %s: %t, want %t", verb, resource, got, want)
					}
				}
				if can(t, me, elsewhere, "get", resource) {
					t.Errorf("get %s in another namespace", resource)
				}
			}
			for _, verb := range []string{"impersonate", "bind", "escalate", "approve", "*"} {
				if can(t, me, c.namespace, verb, "users.") {
					t.Errorf("%s users", verb)
				}
			}
		})
	}
}

// can asks whether somebody may do something; a resource is name/subresource.group.
func can(t *testing.T, me client.Client, namespace, verb, resource string) bool {
	t.Helper()
	name, group, _ := strings.Cut(resource, ".")
	name, subresource, _ := strings.Cut(name, "/")
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: group, Resource: name, Subresource: subresource,
		},
	}}
	if err := me.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// approval returns one in somebody's name.
func approval(t *testing.T, namespace, by string) *unstructured.Unstructured {
	t.Helper()
	o := sample(t, "approval", namespace)
	change{"spec.approvedBy": by}.apply(t, o)
	return o
}

func TestWhoMayApprove(t *testing.T) {
	server := apitest.Start(t)
	c := assemble(t, server)
	operator := "system:serviceaccount:" + c.namespace + ":triangle-operator"
	const foreign = "approvedBy is who makes the approval"
	const forbidden = `cannot create resource "flowapprovals"`
	for name, tc := range map[string]struct{ who, by, refused string }{
		"an approver in her own name":   {who: "anna", by: "anna@example.com"},
		"an approver in another's name": {"anna", "ed@example.com", foreign},
		"an approver as the operator":   {"anna", operator, foreign},
		"the operator in its own name":  {"operator", operator, forbidden},
		"the operator in her name":      {"operator", "anna@example.com", forbidden},
		"an editor of flows":            {"ed", "ed@example.com", forbidden},
		"a viewer":                      {"vic", "vic@example.com", forbidden},
		"somebody without a role":       {"nobody", "nobody@example.com", forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			me := server.ClientOf(t, c.who[tc.who])
			checkVerdict(t, me.Create(t.Context(), approval(t, c.namespace, tc.by)), tc.refused)
		})
	}
	t.Run("an administrator in another's name", func(t *testing.T) {
		checkVerdict(t, server.Client(t).Create(t.Context(), approval(t, c.namespace, "anna@example.com")), foreign)
	})
	t.Run("an approver who acts as somebody else", func(t *testing.T) {
		as := rest.CopyConfig(c.who["anna"])
		as.Impersonate.UserName = "ed@example.com"
		checkVerdict(t, server.ClientOf(t, as).Create(t.Context(), approval(t, c.namespace, "ed@example.com")), `cannot impersonate`)
	})
	t.Run("an approver who says at once that it counts", func(t *testing.T) {
		o := approval(t, c.namespace, "anna@example.com")
		change{"status": object{"verdict": "Counted"}}.apply(t, o)
		me := server.ClientOf(t, c.who["anna"])
		if err := me.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if _, told := o.Object["status"]; told {
			t.Errorf("its status is what she wrote: %v", o.Object["status"])
		}
	})
}

// The operator tells what became of a flow and of an approval; what is wanted it
// leaves alone, even where it writes both at once.
func TestTheOperatorTellsAndLeavesTheSpecAlone(t *testing.T) {
	server := apitest.Start(t)
	c := assemble(t, server)
	operator := server.ClientOf(t, c.who["operator"])
	flow := sample(t, "flow-to-real-time", c.namespace)
	given := approval(t, c.namespace, "anna@example.com")
	if err := server.Client(t).Create(t.Context(), flow); err != nil {
		t.Fatal(err)
	}
	if err := server.ClientOf(t, c.who["anna"]).Create(t.Context(), given); err != nil {
		t.Fatal(err)
	}

	change{"spec.state": "Paused"}.apply(t, flow)
	checkVerdict(t, operator.Update(t.Context(), flow), `cannot update resource "informationflows"`)
	checkVerdict(t, operator.Update(t.Context(), given), `cannot update resource "flowapprovals"`)
	checkVerdict(t, operator.Delete(t.Context(), given), `cannot delete resource "flowapprovals"`)

	change{"status": object{"planHash": "9f2c64d1"}}.apply(t, flow)
	checkVerdict(t, operator.Status().Update(t.Context(), flow), "")
	change{"status": object{"verdict": "Counted"}}.apply(t, given)
	checkVerdict(t, operator.Status().Update(t.Context(), given), "")

	var told v1alpha1.InformationFlow
	if err := operator.Get(t.Context(), client.ObjectKeyFromObject(flow), &told); err != nil {
		t.Fatal(err)
	}
	if told.Status.PlanHash != "9f2c64d1" || told.Spec.State != v1alpha1.FlowActive {
		t.Errorf("the status tells plan %q and the spec %s, want 9f2c64d1 and Active", told.Status.PlanHash, told.Spec.State)
	}
}
