package migrate

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// flow has the steps weekly, daily and realtime, of which the last wants an approval.
// It has been looked at, and is at a step.
func flow(current string, conditions ...string) *v1alpha1.InformationFlow {
	f := &v1alpha1.InformationFlow{ObjectMeta: metav1.ObjectMeta{Name: "f", Generation: 1, Annotations: map[string]string{}}}
	f.Spec.Migration.Steps = []v1alpha1.Step{
		{Name: "weekly"}, {Name: "daily"}, {Name: "realtime", Approval: &v1alpha1.Approval{Mode: v1alpha1.ApprovalRequired}},
	}
	f.Status = v1alpha1.InformationFlowStatus{ObservedGeneration: 1, PlanHash: "9f2c", CurrentStep: current, TargetStep: "realtime"}
	for _, name := range conditions {
		f.Status.Conditions = append(f.Status.Conditions, metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: "Why"})
	}
	return f
}

func with(f *v1alpha1.InformationFlow, change func(*v1alpha1.InformationFlow)) *v1alpha1.InformationFlow {
	change(f)
	return f
}

func TestHowFarAMigrationIs(t *testing.T) {
	for name, tc := range map[string]struct {
		flow    *v1alpha1.InformationFlow
		stages  []Stage
		summary string
	}{
		"before the first step":   {flow(""), []Stage{Next, Later, Later}, "goes on"},
		"at no step of the spec":  {flow("hourly"), []Stage{Next, Later, Later}, "goes on"},
		"at the first step":       {flow("weekly"), []Stage{Current, Next, Later}, "goes on"},
		"between two steps":       {flow("daily", v1alpha1.ConditionReconciling), []Stage{Done, Current, Next}, "moves"},
		"waiting for a word":      {flow("daily", v1alpha1.ConditionAwaitingApproval), []Stage{Done, Current, Next}, "waits for approval of realtime"},
		"at the end":              {flow("realtime", v1alpha1.ConditionMigrationComplete), []Stage{Done, Done, Current}, "complete"},
		"back where it was":       {flow("weekly", v1alpha1.ConditionRolledBack), []Stage{Current, Next, Later}, "rolled back"},
		"in need of somebody":     {flow("weekly", v1alpha1.ConditionStalled), []Stage{Current, Next, Later}, "stalled: Why"},
		"changed since":           {with(flow("weekly"), func(f *v1alpha1.InformationFlow) { f.Generation = 2 }), []Stage{Current, Next, Later}, "not looked at yet"},
		"held by its spec":        {with(flow("weekly"), func(f *v1alpha1.InformationFlow) { f.Spec.State = v1alpha1.FlowPaused }), []Stage{Current, Next, Later}, "paused"},
		"without its event store": {with(flow("weekly"), unreachable), []Stage{Current, Next, Later}, "the store can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			p := ProgressOf(tc.flow)
			if diff := cmp.Diff(tc.stages, p.Stages); diff != "" {
				t.Errorf("the stages differ (-want +got):\n%s", diff)
			}
			if got := p.Summary(); got != tc.summary {
				t.Errorf("it %q, want %q", got, tc.summary)
			}
		})
	}
}

func unreachable(f *v1alpha1.InformationFlow) {
	f.Status.Conditions = append(f.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionEventStoreReachable, Status: metav1.ConditionFalse})
}

// asked has a flow bear a request, of which another one was followed last.
func asked(annotation string) func(*v1alpha1.InformationFlow) {
	return func(f *v1alpha1.InformationFlow) {
		f.Annotations[annotation] = "2026-01-31T09:30:00Z ed"
		f.Status.HandledAbort, f.Status.HandledRetry = "2026-01-30T09:30:00Z ed", "2026-01-30T09:30:00Z ed"
	}
}

func followed(f *v1alpha1.InformationFlow) {
	f.Annotations[v1alpha1.AnnotationAbort], f.Status.HandledAbort = "2026-01-31T09:30:00Z ed", "2026-01-31T09:30:00Z ed"
}

func TestWhatMayBeAskedOfAMigration(t *testing.T) {
	for name, tc := range map[string]struct {
		request Request
		flow    *v1alpha1.InformationFlow
		want    error
	}{
		"a pause while it goes on":           {Pause, flow("daily"), nil},
		"a pause before it is looked at":     {Pause, with(flow(""), func(f *v1alpha1.InformationFlow) { f.Generation = 2 }), nil},
		"a second pause":                     {Pause, with(flow("daily"), asked(v1alpha1.AnnotationPause)), ErrPaused},
		"an end to a pause":                  {Resume, with(flow("daily"), asked(v1alpha1.AnnotationPause)), nil},
		"an end to nothing":                  {Resume, flow("daily"), ErrNotPaused},
		"a way back":                         {Abort, flow("daily"), nil},
		"a way back from the end":            {Abort, flow("realtime", v1alpha1.ConditionMigrationComplete), nil},
		"a way back from the first step":     {Abort, flow("weekly"), ErrFirstStep},
		"a way back while it leaves there":   {Abort, flow("weekly", v1alpha1.ConditionReconciling), nil},
		"a way back from nowhere":            {Abort, flow(""), ErrFirstStep},
		"a way back that is asked for":       {Abort, with(flow("daily"), asked(v1alpha1.AnnotationAbort)), ErrAsked},
		"a way further back":                 {Abort, with(flow("daily"), followed), nil},
		"another try after a rollback":       {Retry, flow("weekly", v1alpha1.ConditionRolledBack), nil},
		"another try when it is stalled":     {Retry, flow("weekly", v1alpha1.ConditionStalled), nil},
		"another try when it is held":        {Retry, with(flow("daily"), func(f *v1alpha1.InformationFlow) { f.Status.TargetStep = "daily" }), nil},
		"another try at what goes on":        {Retry, flow("daily"), ErrNothingToRetry},
		"another try that is asked for":      {Retry, with(flow("daily", v1alpha1.ConditionRolledBack), asked(v1alpha1.AnnotationRetry)), ErrAsked},
		"another try at what nobody saw":     {Retry, with(flow("daily"), func(f *v1alpha1.InformationFlow) { f.Status.PlanHash = "" }), ErrNotSeen},
		"a way back of what nobody looks at": {Abort, with(flow("daily"), func(f *v1alpha1.InformationFlow) { f.Generation = 2 }), ErrNotSeen},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.request.check(ProgressOf(tc.flow)); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

// The first word of a request is a time, by which the operator knows it from another
// one: two of one second are two.
func TestARequestBeginsWithItsTime(t *testing.T) {
	at := time.Date(2026, 1, 31, 10, 30, 0, int(250*time.Millisecond), time.FixedZone("CET", 3600))
	const want = "2026-01-31T09:30:00.250Z ed@example.com"
	if got := token(at, "ed@example.com"); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	if got, err := time.Parse(time.RFC3339, want[:24]); err != nil || !got.Equal(at) {
		t.Errorf("its time is read as %s (%v), want %s", got, err, at)
	}
}
