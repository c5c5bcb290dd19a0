package config_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/apitest"
)

func TestAnApprovalSaysOfWhat(t *testing.T) {
	server := apitest.Start(t)
	namespace := server.Namespace(t)
	anna := server.ClientOf(t, server.User(t, "anna@example.com", "system:masters"))
	for name, tc := range map[string]admission{
		"by who it is of":        {},
		"without a reason":       {changes: change{"spec.reason": nothing{}}},
		"by another one":         {change{"spec.approvedBy": "bob@example.com"}, "approvedBy is who makes the approval: that is anna@example.com, not bob@example.com"},
		"in other letters":       {change{"spec.approvedBy": "Anna@example.com"}, "not Anna@example.com"},
		"of no flow":             {change{"spec.flow": nothing{}}, "spec.flow: Required value"},
		"of an empty flow":       {change{"spec.flow": ""}, "spec.flow in body should be at least 1 chars long"},
		"of too long a flow":     {change{"spec.flow": strings.Repeat("f", 254)}, "spec.flow: Too long: may not be more than 253"},
		"of no step":             {change{"spec.step": nothing{}}, "spec.step: Required value"},
		"of an empty step":       {change{"spec.step": ""}, "spec.step in body should be at least 1 chars long"},
		"of too long a step":     {change{"spec.step": strings.Repeat("s", 64)}, "spec.step: Too long: may not be more than 63"},
		"of no plan":             {change{"spec.planHash": nothing{}}, "spec.planHash: Required value"},
		"of an empty plan":       {change{"spec.planHash": ""}, "spec.planHash in body should be at least 1 chars long"},
		"of too long a plan":     {change{"spec.planHash": strings.Repeat("a", 65)}, "spec.planHash: Too long: may not be more than 64"},
		"by nobody":              {change{"spec.approvedBy": nothing{}}, "spec.approvedBy: Required value"},
		"by somebody empty":      {change{"spec.approvedBy": ""}, "spec.approvedBy in body should be at least 1 chars long"},
		"by too long a name":     {change{"spec.approvedBy": strings.Repeat("a", 513)}, "spec.approvedBy: Too long: may not be more than 512"},
		"for too long a reason":  {change{"spec.reason": strings.Repeat("r", 1025)}, "spec.reason: Too long: may not be more than 1024"},
		"with a word misspelled": {change{"spec.user": "anna"}, `unknown field "spec.user"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := sample(t, "approval", namespace)
			tc.changes.apply(t, o)
			checkVerdict(t, anna.Create(t.Context(), o, client.DryRunAll), tc.refused)
		})
	}
}

// Not even who may do everything changes an approval; what became of it is told in
// its status.
func TestAnApprovalNeverChanges(t *testing.T) {
	server := apitest.Start(t)
	anna := server.ClientOf(t, server.User(t, "anna@example.com", "system:masters"))
	o := sample(t, "approval", server.Namespace(t))
	if err := anna.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]admission{
		"its flow":       {change{"spec.flow": "other"}, "an approval can't be changed: make another one"},
		"its step":       {change{"spec.step": "hourly"}, "an approval can't be changed: make another one"},
		"its plan":       {change{"spec.planHash": "other"}, "an approval can't be changed: make another one"},
		"who gave it":    {change{"spec.approvedBy": "bob@example.com"}, "an approval can't be changed: make another one"},
		"its reason":     {change{"spec.reason": "none"}, "an approval can't be changed: make another one"},
		"its reason off": {change{"spec.reason": nothing{}}, "an approval can't be changed: make another one"},
		"a label":        {changes: change{"metadata.labels": object{"seen": "yes"}}},
	} {
		t.Run(name, func(t *testing.T) {
			changed := o.DeepCopy()
			tc.changes.apply(t, changed)
			checkVerdict(t, anna.Update(t.Context(), changed, client.DryRunAll), tc.refused)
		})
	}
	for verdict, refused := range map[string]string{"Counted": "", "Stale": "", "Foreign": "", "Waiting": "", "Granted": "Unsupported value"} {
		told := o.DeepCopy()
		change{"status": object{"verdict": verdict}}.apply(t, told)
		checkVerdict(t, anna.Status().Update(t.Context(), told, client.DryRunAll), refused)
	}
}
