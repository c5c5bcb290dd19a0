package workload_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/workload"
)

var update = flag.Bool("update", false, "write what the objects are into the golden files")

// all says that the images of the spec serve.
func all(t *v1alpha1.Triangle) workload.Facts {
	serve := map[flows.Service]string{}
	for _, service := range flows.Services {
		serve[service] = string(workload.SpecOf(t, service).Image)
	}
	return workload.Facts{Serve: serve}
}

// read returns a Triangle of testdata.
func read(t *testing.T, name string) *v1alpha1.Triangle {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	triangle := &v1alpha1.Triangle{}
	if err := yaml.UnmarshalStrict(text, triangle); err != nil {
		t.Fatal(err)
	}
	return triangle
}

func desired(t *testing.T, triangle *v1alpha1.Triangle, facts workload.Facts) []*unstructured.Unstructured {
	t.Helper()
	objects, err := workload.Desired(triangle, facts)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Each profile is a Triangle in testdata, and beside it what it consists of.
func TestAnEnvironmentConsistsOf(t *testing.T) {
	for name, facts := range map[string]func(*v1alpha1.Triangle) workload.Facts{
		"evaluation": all,
		"production": all,
		"announcing": func(*v1alpha1.Triangle) workload.Facts {
			return workload.Facts{
				Serve:    map[flows.Service]string{flows.Channel: "registry/channel:1.0.0"},
				Announce: map[flows.Service]workload.Announcement{flows.Channel: {Image: "registry/channel:1.1.0", Attempt: "a"}},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			triangle := read(t, name)
			for _, o := range desired(t, triangle, facts(triangle)) {
				text, err := yaml.Marshal(o.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			golden := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the objects are not those of %s; go test -update writes them there", golden)
			}
		})
	}
}

// find returns the object of a kind and name; nil when there is none.
func find(objects []*unstructured.Unstructured, kind, name string) map[string]any {
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o.Object
		}
	}
	return nil
}

// at returns what is at a path; numbers name items of a list.
func at(object any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch v := object.(type) {
		case map[string]any:
			object = v[step]
		case []any:
			if len(v) == 0 {
				return nil
			}
			object = v[0]
		default:
			return nil
		}
	}
	return object
}

func TestCornersOfAnEnvironment(t *testing.T) {
	three, one := int32(3), int32(1)
	for name, tc := range map[string]struct {
		profile string
		change  func(*v1alpha1.Triangle)
		facts   func(*v1alpha1.Triangle) workload.Facts
		kind    string
		of      string
		path    string
		want    any // nil: it is not there
	}{
		"one replica has no disruption budget": {
			"production", func(t *v1alpha1.Triangle) { t.Spec.Sales.Replicas = &one }, all, "PodDisruptionBudget", "shop-sales", "kind", nil,
		},
		"three replicas have one": {
			"production", func(t *v1alpha1.Triangle) { t.Spec.Sales.Replicas = &three }, all,
			"PodDisruptionBudget", "shop-sales", "spec.maxUnavailable", int64(1),
		},
		"an autoscaler may go down to one, so no budget": {
			"production", func(t *v1alpha1.Triangle) { t.Spec.Channel.Autoscaling.MinReplicas = 1 }, all, "PodDisruptionBudget", "shop-channel", "kind", nil,
		},
		"where the autoscaler says how many, the operator does not": {
			"production", nil, all, "Deployment", "shop-channel", "spec.replicas", nil,
		},
		"without either there is one": {
			"production", func(t *v1alpha1.Triangle) { t.Spec.Sales.Replicas = nil }, all, "Deployment", "shop-sales", "spec.replicas", int64(1),
		},
		"no image yet, no workload": {
			"evaluation", nil, func(*v1alpha1.Triangle) workload.Facts { return workload.Facts{} }, "StatefulSet", "demo-channel", "kind", nil,
		},
		"but a Service that waits for it": {
			"evaluation", nil, func(*v1alpha1.Triangle) workload.Facts { return workload.Facts{} }, "Service", "demo-channel", "kind", "Service",
		},
		"an image with a digest is run as it is named": {
			"production", nil, func(*v1alpha1.Triangle) workload.Facts {
				return workload.Facts{Serve: map[flows.Service]string{flows.Sales: "registry/sales@sha256:" + strings.Repeat("a", 64)}}
			}, "Deployment", "shop-sales", "spec.template.spec.containers.0.image", "registry/sales@sha256:" + strings.Repeat("a", 64),
		},
		"keys in PostgreSQL need no volume": {
			"evaluation", func(t *v1alpha1.Triangle) {
				t.Spec.KeyRing.Postgres = &v1alpha1.Postgres{URLSecretRef: v1alpha1.SecretKey{Name: "keys", Key: "url"}}
			}, all, "PersistentVolumeClaim", "demo-keys", "kind", nil,
		},
		"the volume of the keys outlives the Triangle": {
			"evaluation", nil, all, "PersistentVolumeClaim", "demo-keys", "metadata.ownerReferences", nil,
		},
		"SQLite's volume is mounted by one pod": {
			"evaluation", nil, all, "StatefulSet", "demo-sales", "spec.volumeClaimTemplates.0.spec.accessModes.0", "ReadWriteOncePod",
		},
		"and stays": {
			"evaluation", nil, all, "StatefulSet", "demo-event-store", "spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Retain",
		},
		"no token": {
			"evaluation", nil, all, "StatefulSet", "demo-sales", "spec.template.spec.automountServiceAccountToken", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			triangle := read(t, tc.profile)
			if tc.change != nil {
				tc.change(triangle)
			}
			got := at(find(desired(t, triangle, tc.facts(triangle)), tc.kind, tc.of), tc.path)
			if got != tc.want {
				t.Errorf("%s of %s %s is %v, want %v", tc.path, tc.kind, tc.of, got, tc.want)
			}
		})
	}
}

// What a variable is set to twice is refused by the API server: the spec's counts.
func TestAVariableOfTheSpecReplacesTheOperators(t *testing.T) {
	triangle, other := read(t, "production"), "always_on"
	triangle.Spec.Sales.Env = append(triangle.Spec.Sales.Env, v1alpha1.Variable{Name: "OTEL_TRACES_SAMPLER", Value: &other})
	containers := at(find(desired(t, triangle, all(triangle)), "Deployment", "shop-sales"), "spec.template.spec.containers.0")
	seen := map[string]any{}
	for _, v := range at(containers, "env").([]any) {
		name, _ := at(v, "name").(string)
		if _, twice := seen[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		seen[name] = at(v, "value")
	}
	if seen["OTEL_TRACES_SAMPLER"] != other {
		t.Errorf("it is set to %v", seen["OTEL_TRACES_SAMPLER"])
	}
}

// No object holds a secret, in whatever disguise: they are named alone.
func TestPodsMeetTheRestrictedStandard(t *testing.T) {
	for _, profile := range []string{"evaluation", "production", "announcing"} {
		triangle := read(t, profile)
		facts := all(triangle)
		facts.Announce = map[flows.Service]workload.Announcement{flows.Sales: {Image: "registry/sales:2"}}
		pods := 0
		for _, o := range desired(t, triangle, facts) {
			spec := at(o.Object, "spec.template.spec")
			if spec == nil {
				continue
			}
			pods++
			for path, want := range map[string]any{
				"securityContext.runAsNonRoot":                          true,
				"securityContext.seccompProfile.type":                   "RuntimeDefault",
				"containers.0.securityContext.allowPrivilegeEscalation": false,
				"containers.0.securityContext.readOnlyRootFilesystem":   true,
				"containers.0.securityContext.capabilities.drop.0":      "ALL",
				"automountServiceAccountToken":                          false,
				"enableServiceLinks":                                    false,
			} {
				if got := at(spec, path); got != want {
					t.Errorf("%s %s: %s is %v, want %v", o.GetKind(), o.GetName(), path, got, want)
				}
			}
		}
		if pods < 3 {
			t.Errorf("%s has %d pods", profile, pods)
		}
	}
}

func TestANameMustFitItsObjects(t *testing.T) {
	triangle := read(t, "evaluation")
	triangle.Name = strings.Repeat("x", 36)
	if _, err := workload.Desired(triangle, workload.Facts{}); !errors.Is(err, workload.ErrNameTooLong) {
		t.Errorf("a name of 36 characters: %v, want ErrNameTooLong", err)
	}
	triangle.Name = triangle.Name[1:]
	facts := workload.Facts{Announce: map[flows.Service]workload.Announcement{flows.Marketing: {Image: "registry/marketing:1"}}}
	for _, o := range desired(t, triangle, facts) {
		if len(o.GetName()) > 63 {
			t.Errorf("%s %s is %d characters long", o.GetKind(), o.GetName(), len(o.GetName()))
		}
	}
}

func TestTheNumberOfReplicasIsHandedOverBeforeItIsLeftOut(t *testing.T) {
	replicas := int32(3)
	live := func(manager string) *appsv1.Deployment {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "shop-channel", Namespace: "shop", ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: manager, Operation: metav1.ManagedFieldsOperationApply,
				FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
			}}},
			Spec: appsv1.DeploymentSpec{Replicas: &replicas},
		}
	}
	for name, tc := range map[string]struct {
		service flows.Service
		live    *appsv1.Deployment
		want    any
	}{
		"the operator has said three, and an autoscaler comes": {flows.Channel, live(workload.FieldOwner), int64(3)},
		"there is no Deployment yet":                           {flows.Channel, nil, nil},
		"it is handed over already":                            {flows.Channel, live(workload.HandoverOwner), nil},
		"there is no autoscaler":                               {flows.Sales, live(workload.FieldOwner), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got any
			if u := workload.Handover(read(t, "production"), tc.service, tc.live); u != nil {
				got = at(u.Object, "spec.replicas")
			}
			if got != tc.want {
				t.Errorf("handed over: %v, want %v", got, tc.want)
			}
		})
	}
}
