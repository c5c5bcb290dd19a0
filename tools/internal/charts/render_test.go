package charts_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/operator/config"
)

// as reads an object as T, which has to have every field that it has.
func as[T any](t *testing.T, o *unstructured.Unstructured) T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true); err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return typed
}

func TestBothChartsPassLint(t *testing.T) {
	withEachHelm(t, func(_ *testing.T, h helm) {
		h.must("lint", "--strict", chart("triangle-operator"), "--set", registry)
		for _, name := range []string{"evaluation", "production"} {
			h.must(append([]string{"lint", "--strict"}, profile(name)...)...)
		}
	})
}

// The kinds, and what is admitted of them, are as the operator has them, and stay when
// the release goes.
func TestTheKindsAreThoseOfTheOperatorAndStay(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		made := h.render(chart("triangle-operator"), "--set", registry)
		for _, from := range []string{config.CRD, config.Admission} {
			wanted, err := apitest.Manifests(from)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range wanted {
				got := made.the(want.GetKind(), want.GetName())
				if got.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
					t.Errorf("%s %s goes with the release", got.GetKind(), got.GetName())
				}
				if diff := cmp.Diff(asJSON(t, want.Object["spec"]), asJSON(t, got.Object["spec"])); diff != "" {
					t.Errorf("%s %s (-operator +chart):\n%s", got.GetKind(), got.GetName(), diff)
				}
			}
		}
		none := h.render(chart("triangle-operator"), "--set", registry+",crds.enabled=false,admission.enabled=false,rbac.people=false")
		for _, kind := range []string{"CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole"} {
			if n := len(none.of(kind)); n != 0 {
				t.Errorf("there are %d of kind %s, want none", n, kind)
			}
		}
	})
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheOperatorsRightsAreWhereItWatches(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		for name, tc := range map[string]struct {
			set   string
			roles []string // namespace/name
			env   corev1.EnvVar
		}{
			"its own namespace": {
				"",
				[]string{"shop/shop", "shop/shop-leader"},
				corev1.EnvVar{Name: "TRIANGLE_NAMESPACES", Value: "shop"},
			},
			"two namespaces": {
				"watch.namespaces={north,south}",
				[]string{"north/shop", "shop/shop-leader", "south/shop"},
				corev1.EnvVar{Name: "TRIANGLE_NAMESPACES", Value: "north,south"},
			},
			"all namespaces": {
				"watch.allNamespaces=true",
				[]string{"/shop-shop", "shop/shop-leader"},
				corev1.EnvVar{Name: "TRIANGLE_ALL_NAMESPACES", Value: "true"},
			},
		} {
			t.Run(name, func(t *testing.T) {
				made := h.render(chart("triangle-operator"), "--set", registry+",rbac.people=false", "--set", tc.set)
				var roles []string
				for _, o := range slices.Concat(made.of("Role"), made.of("ClusterRole")) {
					roles = append(roles, o.GetNamespace()+"/"+o.GetName())
					checkLeases(t, as[rbacv1.Role](t, o))
				}
				slices.Sort(roles)
				if !slices.Equal(roles, tc.roles) {
					t.Errorf("its roles are %q, want %q", roles, tc.roles)
				}
				pod := as[appsv1.Deployment](t, made.the("Deployment", "")).Spec.Template.Spec
				if !slices.Contains(pod.Containers[0].Env, tc.env) {
					t.Errorf("its settings are %v, want %v among them", pod.Containers[0].Env, tc.env)
				}
			})
		}
	})
}

// checkLeases wants the right to lead to be where the replicas run, and nowhere else.
func checkLeases(t *testing.T, role rbacv1.Role) {
	t.Helper()
	leads := slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "leases") })
	if leads != strings.HasSuffix(role.Name, "-leader") {
		t.Errorf("%s: it may lead: %t", role.Name, leads)
	}
}

// What the operator's pod is told comes to where it belongs, under the restricted pod
// security standard.
func TestTheOperatorsPod(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		values := `
image: {registry: r.example.com/t/, digest: sha256:` + strings.Repeat("a", 64) + `, pullSecrets: [{name: registry}]}
replicas: 3
ca: {existingSecret: {name: company-ca}}
tolerations: [{key: dedicated, operator: Exists}]
priorityClassName: business
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
podLabels: {team: crm}
podMonitor: {enabled: true, labels: {release: prometheus}}
env: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
extraObjects:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: plain}}
- |
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: "{{ .Release.Name }}-templated"}
`
		file := t.TempDir() + "/values.yaml"
		put(t, file, values)
		made := h.render(chart("triangle-operator"), "--values", file)
		deployment := as[appsv1.Deployment](t, made.the("Deployment", ""))
		pod := deployment.Spec.Template.Spec
		checkRestricted(t, pod)
		if got, want := pod.Containers[0].Image, "r.example.com/t/triangle-operator@sha256:"+strings.Repeat("a", 64); got != want {
			t.Errorf("the image is %s, want %s", got, want)
		}
		if pod.PriorityClassName != "business" || pod.ImagePullSecrets[0].Name != "registry" || pod.Tolerations[0].Key != "dedicated" {
			t.Errorf("its place is %+v", pod)
		}
		if diff := cmp.Diff(deployment.Spec.Selector, pod.TopologySpreadConstraints[0].LabelSelector); diff != "" {
			t.Errorf("what is spread (-its replicas +told):\n%s", diff)
		}
		if pod.Volumes[0].Secret.SecretName != "company-ca" || pod.Containers[0].VolumeMounts[0].Name != pod.Volumes[0].Name {
			t.Errorf("what it trusts is not mounted: %+v", pod)
		}
		for _, kind := range []string{"PodDisruptionBudget", "PodMonitor", "NetworkPolicy"} {
			made.the(kind, "shop")
		}
		made.the("ConfigMap", "plain")
		made.the("ConfigMap", "shop-templated")
		if n := len(h.render(chart("triangle-operator"), "--set", registry).of("PodDisruptionBudget")); n != 0 {
			t.Error("one replica has a PodDisruptionBudget, which keeps nodes from being drained")
		}
	})
}

func checkRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0].SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("it is not restricted: %+v, %+v", pod.SecurityContext, c)
	}
}

// The chart makes the Triangle, its flows and what is around them; the workloads are the
// operator's. Only the test, and backups, are pods.
func TestTheWorkloadsAreTheOperators(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		for _, name := range []string{"evaluation", "production"} {
			made := h.render(profile(name)...)
			for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "Service", "Secret"} {
				if n := len(made.of(kind)); n != 0 {
					t.Errorf("%s: %d of kind %s", name, n, kind)
				}
			}
			pod := as[corev1.Pod](t, made.the("Pod", ""))
			checkRestricted(t, pod.Spec)
			if pod.Annotations["helm.sh/hook"] != "test" {
				t.Errorf("%s: the pod is no test", name)
			}
		}
	})
}

// backups has each profile make backups.
func backups(name string) []string { return append(profile(name), "--set", "backup.enabled=true") }

// A backup keeps the events, and then the keys, on a volume that stays: of a key ring
// that is a file, beside the services that share it.
func TestABackupKeepsEventsAndKeys(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		if n := len(h.render(profile("evaluation")...).of("CronJob")); n != 0 {
			t.Errorf("nobody asked for %d backups", n)
		}
		for name, tc := range map[string]struct {
			keys    corev1.EnvVar
			volumes []string
			near    bool
		}{
			"evaluation": {corev1.EnvVar{Name: "TRIANGLE_KEYS", Value: "/var/lib/triangle/keys/keys.db"}, []string{"shop-backup", "shop-keys"}, true},
			"production": {corev1.EnvVar{Name: "TRIANGLE_KEYS", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "key-ring"}, Key: "url",
			}}}, []string{"shop-backup"}, false},
		} {
			t.Run(name, func(t *testing.T) {
				made := h.render(backups(name)...)
				pod := as[batchv1.CronJob](t, made.the("CronJob", "shop-backup")).Spec.JobTemplate.Spec.Template.Spec
				checkRestricted(t, pod)
				if events := pod.InitContainers[0]; !slices.Equal(events.Args, []string{"backup", "/backup/events.jsonl"}) || events.Env[0].Name != "TRIANGLE_EVENTSTORE" {
					t.Errorf("the events are kept by %+v", events)
				}
				if diff := cmp.Diff(tc.keys, pod.Containers[0].Env[0]); diff != "" {
					t.Errorf("the keys (-want +got):\n%s", diff)
				}
				var volumes []string
				for _, v := range pod.Volumes {
					if v.PersistentVolumeClaim != nil {
						volumes = append(volumes, v.PersistentVolumeClaim.ClaimName)
					}
				}
				if !slices.Equal(volumes, tc.volumes) || (pod.Affinity != nil) != tc.near {
					t.Errorf("its volumes are %q, near %+v; want %q", volumes, pod.Affinity, tc.volumes)
				}
				claim := made.the("PersistentVolumeClaim", "shop-backup").GetAnnotations()
				if claim["helm.sh/hook"] == "" || claim["helm.sh/hook-delete-policy"] != "hook-failed" {
					t.Errorf("the volume is part of the release: it has %v", claim)
				}
			})
		}
		own := h.render(append(backups("production"), "--set", "backup.existingClaim=tapes")...)
		claim := as[batchv1.CronJob](t, own.the("CronJob", "")).Spec.JobTemplate.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName
		if claim != "tapes" || len(own.of("PersistentVolumeClaim")) != 0 {
			t.Errorf("it is kept on %s, and claims are made; want tapes, and none", claim)
		}
	})
}

func TestTheTriangleOfEachProfile(t *testing.T) {
	two := int32(2)
	secret := func(name, key string) *v1alpha1.SecretKey { return &v1alpha1.SecretKey{Name: name, Key: key} }
	withEachHelm(t, func(t *testing.T, h helm) {
		t.Run("evaluation", func(t *testing.T) {
			spec := as[v1alpha1.Triangle](t, h.render(profile("evaluation")...).the("Triangle", "shop")).Spec
			if spec.EventStore.Embedded == nil || spec.Database.SQLite == nil || spec.KeyRing.Postgres != nil || *spec.Sales.Replicas != 1 {
				t.Errorf("it is %+v", spec)
			}
			if got, want := string(spec.EventStore.Embedded.Image), "registry.example.com/triangle/event-store:0.1.0"; got != want {
				t.Errorf("the store's image is %s, want %s", got, want)
			}
		})
		t.Run("production", func(t *testing.T) {
			spec := as[v1alpha1.Triangle](t, h.render(profile("production")...).the("Triangle", "shop")).Spec
			for name, got := range map[string]any{"event-store/url": spec.EventStore.ConnectionSecretRef, "event-store/ca.crt": spec.EventStore.CASecretRef, "read-models/url": &spec.Database.Postgres.URLSecretRef, "key-ring/url": &spec.KeyRing.Postgres.URLSecretRef} {
				of, key, _ := strings.Cut(name, "/")
				if diff := cmp.Diff(secret(of, key), got); diff != "" {
					t.Errorf("a Secret (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(&v1alpha1.Autoscaling{MinReplicas: 2, MaxReplicas: 8, CPUPercent: 70}, spec.Channel.Autoscaling); diff != "" || spec.Channel.Replicas != nil {
				t.Errorf("the channel scales (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(&two, spec.Marketing.Replicas); diff != "" {
				t.Errorf("marketing's replicas (-want +got):\n%s", diff)
			}
		})
	})
}

// A policy lets out and in what a profile needs, and nothing else.
func TestWhoMayReachWhom(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		for name, tc := range map[string]struct {
			args   []string
			policy string
			out    []string
			in     []string
		}{
			"anybody":                          {profile("evaluation"), "shop", []string{"names:53/TCP", "names:53/UDP"}, nil},
			"a service, with the store beside": {profile("evaluation"), "shop-sales", []string{"event-store:2113/TCP"}, []string{"all here:8082/TCP", "all here:9082/TCP", "test:8082/TCP"}},
			"the store that is beside":         {profile("evaluation"), "shop-event-store", nil, []string{"triangle-operator:2113/TCP", "triangle:2113/TCP"}},
			"the test, with the store beside":  {profile("evaluation"), "shop-test", []string{"triangle:2113/TCP", "triangle:8081/TCP", "triangle:8082/TCP", "triangle:8083/TCP"}, nil},
			"a backup, with the store beside":  {backups("evaluation"), "shop-backup", []string{"event-store:2113/TCP"}, nil},
			"a backup, of servers":             {backups("production"), "shop-backup", []string{"anywhere:2113/TCP", "anywhere:5432/TCP"}, nil},
			"a service, on servers":            {profile("production"), "shop-channel", []string{"anywhere:2113/TCP", "anywhere:5432/TCP"}, []string{"all here:8081/TCP", "all here:9081/TCP", "test:8081/TCP"}},
			"a service that tells":             {append(profile("production"), "--set", "telemetry.endpoint=http://c:4317"), "shop-channel", []string{"anywhere:2113/TCP", "anywhere:4317/TCP", "anywhere:4318/TCP", "anywhere:5432/TCP"}, []string{"all here:8081/TCP", "all here:9081/TCP", "test:8081/TCP"}},
			"the operator":                     {[]string{chart("triangle-operator"), "--set", registry}, "shop", []string{"anywhere:2113/TCP", "anywhere:443/TCP", "anywhere:6443/TCP", "names:53/TCP", "names:53/UDP"}, nil},
			"the operator that tells":          {[]string{chart("triangle-operator"), "--set", registry + ",telemetry.endpoint=http://c:4317"}, "shop", []string{"anywhere:2113/TCP", "anywhere:4317/TCP", "anywhere:4318/TCP", "anywhere:443/TCP", "anywhere:6443/TCP", "names:53/TCP", "names:53/UDP"}, nil},
		} {
			t.Run(name, func(t *testing.T) {
				spec := as[networkingv1.NetworkPolicy](t, h.render(tc.args...).the("NetworkPolicy", tc.policy)).Spec
				var out, in []string
				for _, rule := range spec.Egress {
					out = append(out, reaches(rule.To, rule.Ports)...)
				}
				for _, rule := range spec.Ingress {
					in = append(in, reaches(rule.From, rule.Ports)...)
				}
				slices.Sort(out)
				slices.Sort(in)
				if !slices.Equal(out, tc.out) || !slices.Equal(in, tc.in) || len(spec.PolicyTypes) != 2 {
					t.Errorf("out %q, in %q, of %v; want out %q, in %q, of both", out, in, spec.PolicyTypes, tc.out, tc.in)
				}
			})
		}
	})
}

// reaches tells a rule's peers by what they are found by.
func reaches(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) (all []string) {
	names := []string{"anywhere"}
	if len(peers) > 0 {
		names = nil
	}
	for _, p := range peers {
		name := "all here"
		if p.PodSelector != nil {
			labels := p.PodSelector.MatchLabels
			for _, label := range []string{"app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/component"} {
				if labels[label] != "" {
					name = labels[label]
				}
			}
			if labels["k8s-app"] != "" {
				name = "names"
			}
		}
		names = append(names, name)
	}
	for _, name := range names {
		for _, port := range ports {
			all = append(all, name+":"+port.Port.String()+"/"+string(*port.Protocol))
		}
	}
	return all
}
