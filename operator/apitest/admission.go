package apitest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// awaitAdmission waits until policies hold, which the API server takes note of a
// little after they are there: until it refuses what only they refuse.
func awaitAdmission(ctx context.Context, c client.Client) error {
	foreign := &v1alpha1.FlowApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "probe"},
		Spec:       v1alpha1.FlowApprovalSpec{Flow: "f", Step: "s", PlanHash: "p", ApprovedBy: "nobody"},
	}
	malformed := &v1alpha1.InformationFlow{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "probe", Annotations: map[string]string{v1alpha1.AnnotationAbort: "now"}},
		Spec: v1alpha1.InformationFlowSpec{Flow: "f", Migration: v1alpha1.Migration{Steps: []v1alpha1.Step{
			{Name: "s", Cadence: v1alpha1.Cadence{Mode: v1alpha1.RealTime}},
		}}},
	}
	for _, o := range []client.Object{foreign, malformed} {
		var last error
		err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			last = c.Create(ctx, o.DeepCopyObject().(client.Object), client.DryRunAll)
			return last != nil && strings.Contains(last.Error(), "ValidatingAdmissionPolicy"), nil
		})
		if err != nil {
			return errors.Join(fmt.Errorf("the admission policies do not come to hold: %w", err), last)
		}
	}
	return nil
}
