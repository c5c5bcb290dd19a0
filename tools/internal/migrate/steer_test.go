package migrate

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Run(m)) }

// A request is made of the flow that was looked at: what somebody does between the
// look and the request has it looked at again.
func TestARequestIsOfTheFlowAsItIs(t *testing.T) {
	server := apitest.Start(t)
	for name, tc := range map[string]struct {
		meanwhile func(client.Client, *v1alpha1.InformationFlow) error
		want      error
	}{
		"the operator tells how it stands": {
			func(c client.Client, f *v1alpha1.InformationFlow) error {
				f.Status.PlanHash = "77"
				return c.Status().Update(t.Context(), f)
			}, nil,
		},
		"somebody else pauses it": {
			func(c client.Client, f *v1alpha1.InformationFlow) error {
				f.Annotations = map[string]string{v1alpha1.AnnotationPause: "2026-01-31T09:30:00Z anna"}
				return c.Update(t.Context(), f)
			}, ErrPaused,
		},
		"it is taken away": {
			func(c client.Client, f *v1alpha1.InformationFlow) error { return c.Delete(t.Context(), f) }, ErrNoFlow,
		},
	} {
		t.Run(name, func(t *testing.T) {
			admin := server.Client(t)
			f := &v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Namespace: server.Namespace(t), Name: "f"}}
			f.Spec.Flow = "request-status"
			f.Spec.Migration.Steps = []v1alpha1.Step{{Name: "realtime", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}}}
			if err := admin.Create(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			cluster, err := connect(server.Config, f.Namespace)
			if err != nil {
				t.Fatal(err)
			}
			cluster.client = once(t, server, func() error { return tc.meanwhile(admin, f) })

			asked, err := cluster.Ask(t.Context(), Pause, "f", time.Now())
			if !errors.Is(err, tc.want) {
				t.Fatalf("it fails with %v, want %v", err, tc.want)
			}
			if tc.want == nil && (asked.Status.PlanHash != "77" || asked.Annotations[v1alpha1.AnnotationPause] == "") {
				t.Errorf("it is asked of %+v, want of the flow as it is", asked)
			}
		})
	}
}

// once returns a client that does something before its first patch.
func once(t *testing.T, server *apitest.Server, meanwhile func() error) client.Client {
	t.Helper()
	scheme, err := apitest.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(server.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	done := false
	return interceptor.NewClient(c, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, options ...client.PatchOption) error {
			if !done {
				done = true
				if err := meanwhile(); err != nil {
					t.Error(err)
				}
			}
			return c.Patch(ctx, o, patch, options...)
		},
	})
}
