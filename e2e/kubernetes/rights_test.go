package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The operator, and people with the roles that its chart has made, ask the API server
// what they may do; the services may do there what anybody may.
func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t)
	w.installOperator()
	w.declareEnvironment()
	for person, role := range map[string]string{"vic": "viewer", "ed": "editor", "anna": "approver"} {
		w.kubectl("create", "rolebinding", person, "--clusterrole=triangle-"+role, "--user="+person)
	}
	account := func(name string) string { return "system:serviceaccount:" + w.namespace + ":" + name }
	who := map[string]string{"operator": account(operator), "viewer": "vic", "editor": "ed", "approver": "anna"}
	var table strings.Builder
	for _, row := range rights {
		fmt.Fprintf(&table, "\n%-12s%-40s", row.verb, row.resource)
		for _, name := range []string{"operator", "viewer", "editor", "approver"} {
			got, want := w.may(who[name], row.verb, row.resource), slices.Contains(strings.Fields(row.who), name)
			if got != want {
				w.Errorf("%s may %s %s: %t, want %t", name, row.verb, row.resource, got, want)
			}
			fmt.Fprintf(&table, " %s: %-4s", name, map[bool]string{true: "yes", false: "no"}[got])
		}
	}
	w.Log(table.String())
	for name, account := range who {
		if w.may(account, "get", "pods", "--namespace=kube-system") {
			w.Errorf("%s may get pods of another namespace", name)
		}
	}
	w.until("the services' accounts", func() bool {
		return strings.Contains(w.kubectl("get", "serviceaccounts", "--output=name"), "triangle-marketing")
	})
	for _, name := range components {
		w.mayAsMuchAs(account("somebody"), account("triangle-"+name))
	}
}

// mayAsMuchAs wants an account to have the rights of one that nobody has given any:
// those that the cluster gives to everybody.
func (w *world) mayAsMuchAs(anybody, who string) {
	w.Helper()
	list := func(as string) string { return w.kubectl("auth", "can-i", "--list", "--no-headers", "--as="+as) }
	if got, want := list(who), list(anybody); got != want {
		w.Errorf("%s may:\n%swhere anybody may:\n%s", who, got, want)
	}
}

// rights are who may do what; the others of the four may not.
var rights = []struct{ verb, resource, who string }{
	{"get", "triangles.triangle.dev", "operator viewer editor approver"},
	{"patch", "triangles.triangle.dev", "editor"},
	{"delete", "triangles.triangle.dev", "editor"},
	{"patch", "triangles.triangle.dev/status", "operator"},
	{"watch", "informationflows.triangle.dev", "operator viewer editor approver"},
	{"create", "informationflows.triangle.dev", "editor"},
	{"patch", "informationflows.triangle.dev/status", "operator"},
	{"list", "flowapprovals.triangle.dev", "operator viewer editor approver"},
	{"create", "flowapprovals.triangle.dev", "approver"},
	{"patch", "flowapprovals.triangle.dev", ""},
	{"delete", "flowapprovals.triangle.dev", ""},
	{"patch", "deployments.apps", "operator"},
	{"delete", "statefulsets.apps", "operator"},
	{"create", "jobs.batch", "operator"},
	{"patch", "horizontalpodautoscalers.autoscaling", "operator"},
	{"patch", "poddisruptionbudgets.policy", "operator"},
	{"create", "services", "operator"},
	{"create", "serviceaccounts", "operator"},
	{"create", "serviceaccounts/token", ""},
	{"get", "secrets", "operator"},
	{"create", "secrets", ""},
	{"get", "pods", "operator"},
	{"delete", "pods", ""},
	{"create", "pods/exec", ""},
	{"create", "persistentvolumeclaims", "operator"},
	{"delete", "persistentvolumeclaims", ""},
	{"update", "leases.coordination.k8s.io", "operator"},
	{"create", "roles.rbac.authorization.k8s.io", ""},
	{"create", "networkpolicies.networking.k8s.io", ""},
	{"impersonate", "users", ""},
}

// may asks for somebody; a resource is name.group/subresource.
func (w *world) may(who, verb, resource string, more ...string) bool {
	w.Helper()
	resource, subresource, _ := strings.Cut(resource, "/")
	args := []string{"--namespace", w.namespace, "auth", "can-i", verb, resource, "--subresource=" + subresource, "--as=" + who}
	out, err := the.cluster.Kubectl(w.Context(), nil, append(args, more...)...)
	switch answer := strings.TrimSpace(out); {
	case answer == "yes":
		return true
	case strings.HasPrefix(answer, "no"): // and so kubectl fails
		return false
	default:
		w.Fatalf("%s, %s %s: %q, %v", who, verb, resource, out, err)
		return false
	}
}
