package charts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var kinds = []string{"triangles.triangle.dev", "informationflows.triangle.dev", "flowapprovals.triangle.dev"}

const (
	crdVersion      = "apiextensions.k8s.io/v1"
	crdKind         = "CustomResourceDefinition"
	triangleVersion = "triangle.dev/v1alpha1"
)

// operator installs the operator's chart, and waits until its kinds can be used.
func (c cluster) operator(h helm, namespace string, more ...string) {
	c.t.Helper()
	h.must(append([]string{"upgrade", "--install", "ops", chart("triangle-operator"), "--namespace", namespace, "--set", registry}, more...)...)
	for _, kind := range kinds {
		c.served(kind)
	}
}

// An API server that lets no field pass that a kind does not have takes all that both
// profiles make, and so does helm's own dry run.
func TestBothProfilesAreAdmitted(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		c.monitored()
		namespace := c.server.Namespace(t)
		h = h.in(c.server, namespace)
		c.operator(h, namespace, "--set", "replicas=2,podMonitor.enabled=true")
		for _, name := range []string{"evaluation", "production"} {
			h.must(append([]string{"install", "shop", "--namespace", namespace, "--dry-run=server"}, profile(name)...)...)
			objects := h.render(backups(name)...).objects
			if len(objects) < 6 {
				t.Fatalf("%s makes %d objects only", name, len(objects))
			}
			for _, o := range objects {
				o.SetNamespace(namespace)
				if err := c.admin.Create(t.Context(), o, client.DryRunAll); err != nil {
					t.Errorf("%s: %s %s: %v", name, o.GetKind(), o.GetName(), err)
				}
			}
		}
	})
}

// A namespace that lets in what is restricted alone lets in the pods of both charts, and
// not just any pod.
func TestThePodsAreRestricted(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		namespace := c.restricted()
		made := h.render(chart("triangle-operator"), "--set", registry)
		backup := func(name string) corev1.PodSpec {
			return as[batchv1.CronJob](t, h.render(backups(name)...).the("CronJob", "")).Spec.JobTemplate.Spec.Template.Spec
		}
		pods := map[string]corev1.PodSpec{
			"a backup, evaluating":   backup("evaluation"),
			"a backup, in earnest":   backup("production"),
			"the operator":           as[appsv1.Deployment](t, made.the("Deployment", "")).Spec.Template.Spec,
			"the test, evaluating":   as[corev1.Pod](t, h.render(profile("evaluation")...).the("Pod", "")).Spec,
			"the test, in earnest":   as[corev1.Pod](t, h.render(profile("production")...).the("Pod", "")).Spec,
			"any pod: it is refused": {Containers: []corev1.Container{{Name: "any", Image: "any"}}},
		}
		for name, spec := range pods {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pod"}, Spec: spec}
			err := c.admin.Create(t.Context(), pod, client.DryRunAll)
			if refused := strings.HasSuffix(name, "refused"); refused != apierrors.IsForbidden(err) || !refused && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// restricted is a namespace under the pod security standard restricted.
func (c cluster) restricted() string {
	c.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := c.admin.Create(c.t.Context(), namespace); err != nil {
		c.t.Fatal(err)
	}
	return namespace.Name
}

// A release comes, changes, goes back and goes. The kinds stay, and with them whatever
// is of them; so do the volumes, which are nobody's release.
func TestTheLifeOfARelease(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		namespace := c.server.Namespace(t)
		h = h.in(c.server, namespace)
		in := []string{"--namespace", namespace}
		c.operator(h, namespace)
		image := func() string {
			o, err := c.find(triangleVersion, "Triangle", namespace, "shop")
			if err != nil {
				t.Fatal(err)
			}
			return c.field(o, "spec.sales.image")
		}
		release := func(do string, more ...string) {
			h.must(slices.Concat([]string{do, "shop"}, in, profile("evaluation"), more)...)
		}

		release("install")
		first := image()
		release("upgrade", "--set", "image.tag=0.2.0", "--set", "flows[0].flow=contacts,flows[0].migration.steps[0].name=now,flows[0].migration.steps[0].cadence.mode=RealTime")
		if got, want := image(), "registry.example.com/triangle/sales-support:0.2.0"; got != want {
			t.Errorf("after the upgrade sales run %s, want %s", got, want)
		}
		c.is(true, triangleVersion, "InformationFlow", namespace, "contacts")
		h.must(append([]string{"rollback", "shop", "1"}, in...)...)
		if got := image(); got != first {
			t.Errorf("after the rollback sales run %s, want %s", got, first)
		}
		c.is(false, triangleVersion, "InformationFlow", namespace, "contacts")

		volume := keysVolume(namespace)
		if err := c.admin.Create(t.Context(), volume); err != nil {
			t.Fatal(err)
		}
		h.must(append([]string{"uninstall", "shop"}, in...)...)
		c.is(false, triangleVersion, "Triangle", namespace, "shop")
		c.is(true, "v1", "PersistentVolumeClaim", namespace, volume.Name)

		release("install")
		h.must(append([]string{"uninstall", "ops"}, in...)...)
		c.is(false, "apps/v1", "Deployment", namespace, "ops")
		for _, kind := range kinds {
			c.is(true, crdVersion, crdKind, "", kind)
		}
		c.is(true, "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "", "approvals.triangle.dev")
		c.is(true, triangleVersion, "Triangle", namespace, "shop")

		c.operator(h, namespace)
		c.is(true, triangleVersion, "Triangle", namespace, "shop")
	})
}

// keysVolume is a volume such as the operator makes for an environment's keys.
func keysVolume(namespace string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-keys", Labels: map[string]string{
			"app.kubernetes.io/instance": "shop", "app.kubernetes.io/part-of": "triangle",
		}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

// What another release, or kubectl, has installed is taken over when that is asked for,
// and not before. The old release goes then, and takes away nothing that is shared.
func TestAnotherReleaseTakesOver(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		namespace := c.server.Namespace(t)
		h = h.in(c.server, namespace)
		c.operator(h, namespace)
		other := []string{"install", "other", chart("triangle-operator"), "--namespace", namespace, "--set", registry}
		h.refuses("invalid ownership metadata", other...)
		h.must(append(other, "--take-ownership")...)
		h.must("uninstall", "ops", "--namespace", namespace)
		for _, kind := range kinds {
			o, err := c.find(crdVersion, crdKind, "", kind)
			if err != nil {
				t.Fatal(err)
			}
			if got := o.GetAnnotations()["meta.helm.sh/release-name"]; got != "other" {
				t.Errorf("%s is of release %s, want other", kind, got)
			}
		}
		c.is(true, "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "", "approvals.triangle.dev")
		c.is(true, "rbac.authorization.k8s.io/v1", "ClusterRole", "", "triangle-approver")
		c.is(true, "apps/v1", "Deployment", namespace, "other")
		c.is(false, "apps/v1", "Deployment", namespace, "ops")
	})
}

// A kind that a newer chart knows more of is brought up to date by helm upgrade, and what
// is of that kind stays.
func TestTheKindsAreUpgraded(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		namespace := c.server.Namespace(t)
		h = h.in(c.server, namespace)
		old := copyChart(t, "triangle-operator")
		file := filepath.Join(old, "files/crd/triangle.dev_triangles.yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		put(t, file, strings.Replace(string(text), "    - jsonPath: .metadata.creationTimestamp\n      name: Age\n      type: date\n", "", 1))
		columns := func() string {
			o, err := c.find(crdVersion, crdKind, "", "triangles.triangle.dev")
			if err != nil {
				t.Fatal(err)
			}
			shown, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			return string(shown)
		}

		h.must("install", "ops", old, "--namespace", namespace, "--set", registry)
		c.served("triangles.triangle.dev")
		if strings.Contains(columns(), `"name":"Age"`) {
			t.Fatal("the old kind has the column already")
		}
		h.must(slices.Concat([]string{"install", "shop", "--namespace", namespace}, profile("evaluation"))...)
		c.operator(h, namespace)
		if !strings.Contains(columns(), `"name":"Age"`) {
			t.Error("the kind is as it was")
		}
		c.is(true, triangleVersion, "Triangle", namespace, "shop")
	})
}

// The operator may do in the namespaces that it watches what it has to, lead where it
// runs, and nothing elsewhere. The API server itself is asked.
func TestTheOperatorMayNoMoreThanItHasTo(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		home, watched, elsewhere := c.server.Namespace(t), c.server.Namespace(t), c.server.Namespace(t)
		h = h.in(c.server, home)
		c.operator(h, home, "--set", "watch.namespaces={"+watched+"}")
		for namespace, want := range map[string]string{
			home:      "create events, update leases",
			watched:   "create events, get secrets, patch deployments, watch triangles",
			elsewhere: "",
		} {
			var may []string
			for _, what := range [][3]string{
				{"create", "", "events"},
				{"update", "coordination.k8s.io", "leases"},
				{"get", "", "secrets"},
				{"patch", "apps", "deployments"},
				{"watch", "triangle.dev", "triangles"},
				{"update", "triangle.dev", "triangles"},
				{"create", "triangle.dev", "flowapprovals"},
				{"create", "rbac.authorization.k8s.io", "roles"},
				{"create", "", "pods"},
				{"create", "", "secrets"},
			} {
				if c.can("system:serviceaccount:"+home+":ops", namespace, what) {
					may = append(may, what[0]+" "+what[2])
				}
			}
			if got := strings.Join(may, ", "); !sameWords(got, want) {
				t.Errorf("it may %s, want %s", got, want)
			}
		}
	})
}

func sameWords(a, b string) bool {
	one, other := strings.Split(a, ", "), strings.Split(b, ", ")
	slices.Sort(one)
	slices.Sort(other)
	return slices.Equal(one, other)
}

// can asks whether somebody may do something: verb, group, resource.
func (c cluster) can(who, namespace string, what [3]string) bool {
	c.t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               who,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: what[0], Group: what[1], Resource: what[2]},
	}}
	if err := c.admin.Create(c.t.Context(), review); err != nil {
		c.t.Fatal(err)
	}
	return review.Status.Allowed
}

// Where the Secrets can be looked at, what is in them is: a connection string that is none
// is refused before anything is installed, and one that is missing is told.
func TestTheSecretsAreLookedAt(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		c := bare(t)
		c.monitored()
		namespace := c.server.Namespace(t)
		h = h.in(c.server, namespace)
		c.operator(h, namespace)
		install := append([]string{"install", "shop", "--namespace", namespace, "--dry-run=server"}, profile("production")...)
		secret := func(name string, data map[string]string) {
			t.Helper()
			o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data}
			if err := client.IgnoreNotFound(c.admin.Delete(t.Context(), o.DeepCopy())); err != nil {
				t.Fatal(err)
			}
			if err := c.admin.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}

		if out := h.must(install...); !strings.Contains(out, "create secret generic read-models --from-literal=url='…'") {
			t.Errorf("that a Secret is missing is not told:\n%s", out)
		}
		secret("event-store", map[string]string{"url": "http://store:2113", "ca.crt": "-----BEGIN CERTIFICATE-----"})
		h.refuses("eventStore.existingSecret: the key url of Secret event-store does not hold what it should, which begins with esdb+discover://…", install...)
		secret("event-store", map[string]string{"address": "esdb://store:2113", "ca.crt": "-----BEGIN CERTIFICATE-----"})
		h.refuses("eventStore.existingSecret: the Secret event-store has no key url, but address, ca.crt: write one of them in eventStore.existingSecret.key", install...)
		secret("event-store", map[string]string{"url": "esdb+discover://store:2113", "ca.crt": "-----BEGIN CERTIFICATE-----"})
		secret("read-models", map[string]string{"url": "mysql://db/x"})
		h.refuses("database.postgres.existingSecret: the key url of Secret read-models does not hold what it should, which begins with postgres://…", install...)
		secret("read-models", map[string]string{"url": "postgresql://me:hush@db/x"})
		if out := h.must(install...); strings.Contains(out, "hush") || strings.Contains(out, "generic read-models") {
			t.Errorf("a Secret's content is told, or that it is missing:\n%s", out)
		}
	})
}
