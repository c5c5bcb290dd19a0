package charts_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The operator itself, with the settings and the rights that the chart gives it and no
// others, leads where it runs, and makes an environment of what the other chart declares
// where it watches.
func TestTheOperatorWorksWithWhatItsChartGives(t *testing.T) {
	program := filepath.Join(t.TempDir(), "triangle-operator")
	withEachHelm(t, func(t *testing.T, h helm) {
		buildOperator(t, program)
		c := bare(t)
		home, watched := c.server.Namespace(t), c.server.Namespace(t)
		h = h.in(c.server, home)
		c.operator(h, home, "--set", "watch.namespaces={"+watched+"}")
		h.must(slices.Concat([]string{"install", "shop", "--namespace", watched}, profile("evaluation"))...)
		c.runOperator(program, home)

		c.until("a replica leads", func(context.Context) (bool, error) {
			_, err := c.find("coordination.k8s.io/v1", "Lease", home, "triangle-operator")
			return err == nil, client.IgnoreNotFound(err)
		})
		for _, name := range []string{"shop-event-store", "shop-channel"} {
			c.until("there is a Service "+name, func(context.Context) (bool, error) {
				_, err := c.find("v1", "Service", watched, name)
				return err == nil, client.IgnoreNotFound(err)
			})
		}
		c.until("the status tells of the Triangle as it is", func(context.Context) (bool, error) {
			o, err := c.find(triangleVersion, "Triangle", watched, "shop")
			if err != nil {
				return false, err
			}
			status, _ := o.Object["status"].(map[string]any)
			return status["observedGeneration"] == o.GetGeneration(), nil
		})
	})
}

// Where the operator's traces go is said in OpenTelemetry's own variables, and not at
// all where there is no collector.
func TestTheOperatorIsToldWhereItsTracesGo(t *testing.T) {
	withEachHelm(t, func(t *testing.T, h helm) {
		for name, tc := range map[string]struct {
			set  string
			want map[string]string
		}{
			"nowhere": {"telemetry.endpoint=", map[string]string{}},
			"a collector, of each eighth": {"telemetry.endpoint=http://collector:4317,telemetry.tracePercent=12.5", map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
				"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.125",
				"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=shop,k8s.namespace.name=shop,k8s.pod.name=$(POD_NAME),k8s.container.name=operator",
			}},
		} {
			t.Run(name, func(t *testing.T) {
				made := h.render(chart("triangle-operator"), "--set-string", registry+","+tc.set)
				got := map[string]string{}
				for _, v := range as[appsv1.Deployment](t, made.the("Deployment", "")).Spec.Template.Spec.Containers[0].Env {
					if strings.HasPrefix(v.Name, "OTEL_") {
						got[v.Name] = v.Value
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("it is told (-want +got):\n%s", diff)
				}
			})
		}
	})
}

func buildOperator(t *testing.T, program string) {
	t.Helper()
	if _, err := os.Stat(program); err == nil {
		return
	}
	build := exec.Command("go", "build", "-o", program, "./operator/cmd/triangle-operator")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
}

// runOperator runs the operator as the pod of the release ops would, until the test ends.
func (c cluster) runOperator(program, home string) {
	c.t.Helper()
	var deployment appsv1.Deployment
	if err := c.admin.Get(c.t.Context(), client.ObjectKey{Namespace: home, Name: "ops"}, &deployment); err != nil {
		c.t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	cmd := exec.Command(program)
	cmd.Env = []string{
		"KUBECONFIG=" + c.server.Kubeconfig(c.t, home, map[string]*rest.Config{"operator": c.account(home, pod.ServiceAccountName)}),
		"TRIANGLE_METRICS_ADDR=0", "TRIANGLE_HEALTH_ADDR=0", // which another process may have
	}
	for _, v := range pod.Containers[0].Env {
		if v.ValueFrom != nil {
			v.Value = home // the one thing that the chart asks of the pod
		}
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which Wait tells
		err := cmd.Wait()
		if err != nil || bytes.Contains(told.Bytes(), []byte("forbidden")) {
			c.t.Errorf("the operator ended with %v, and may not do what it has to:\n%s", err, told.String())
		}
	})
}

// account is who has a token of a service account that is there.
func (c cluster) account(namespace, name string) *rest.Config {
	c.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	token := &authenticationv1.TokenRequest{}
	if err := c.admin.SubResource("token").Create(c.t.Context(), account, token); err != nil {
		c.t.Fatal(err)
	}
	who := rest.AnonymousClientConfig(c.server.Config)
	who.BearerToken = token.Status.Token
	return who
}
