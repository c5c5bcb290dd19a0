package cli

import (
	"github.com/rogpeppe/go-internal/testscript"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

const uidOfPlan = "5b8e1c50-7f0e-4a51-9f0e-6c1d1b9a6a01"

// manage FLOW OBJECT does what the operator does when it takes a flow over.
func manage(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(write(ts, "flow-"+args[0], &flowv1.MigrationPlanned{
		Flow: args[0], Plan: "9f2c", By: "triangle-operator", Object: args[1], ObjectUid: uidOfPlan, Generation: 1,
		Steps: []*flowv1.PlannedStep{{Name: "daily", Cadence: "daily"}, {Name: "realtime", Cadence: "realtime"}},
	}))
}

// release FLOW does what it does when the object is deleted.
func release(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(write(ts, "flow-"+args[0], &flowv1.MigrationEnded{
		Flow: args[0], ObjectUid: uidOfPlan, By: "triangle-operator", Reason: "the object was deleted",
	}))
}
