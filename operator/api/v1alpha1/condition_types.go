package v1alpha1

// The types of conditions. The first three are those that tools know (kstatus): an
// object is as it is wanted when Ready is true, and neither of the others is.
const (
	// ConditionReady is true whenever an environment serves, or a flow runs right at
	// its present step. That a migration waits, for a window, a gate or somebody's
	// word, for days or weeks, makes nothing unready.
	ConditionReady = "Ready"
	// ConditionReconciling is true while something is being changed: a rollout, or a
	// cut-over. It is there only while it is true.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true when nothing goes on until somebody changes something;
	// its message says what. It is there only while it is true.
	ConditionStalled = "Stalled"

	// ConditionAwaitingApproval is true while a step waits for a FlowApproval; its
	// message is the command that gives it.
	ConditionAwaitingApproval = "AwaitingApproval"
	// ConditionMigrationComplete is true at the last step, once its gates have passed.
	ConditionMigrationComplete = "MigrationComplete"
	// ConditionGatesPassing is true when every gate of the present step passes, false
	// when one fails, and unknown when of one there are no data.
	ConditionGatesPassing = "GatesPassing"
	// ConditionParityVerified is true when what was produced and what was taken in
	// are the same, by the last proof that there is.
	ConditionParityVerified = "ParityVerified"
	// ConditionRolledBack is true when the flow went back a step by itself; its
	// message says why, and how to try again.
	ConditionRolledBack = "RolledBack"
	// ConditionPaused is true while the spec, or somebody, holds the migration.
	ConditionPaused = "Paused"
	// ConditionTypesActive is false while an event type waits to be written; its message
	// names who can't read it yet.
	ConditionTypesActive = "TypesActive"
	// ConditionEventStoreReachable is false while the operator can't reach the store:
	// then all clocks of the migration stand still, and nothing is rolled back.
	ConditionEventStoreReachable = "EventStoreReachable"
)

// The annotations by which somebody steers a migration without touching its spec,
// which may be somebody else's to apply. The value of each begins with a time, in
// RFC 3339, and may go on with a space and who it was: another time is another
// request, and one that was followed stands in the status.
const (
	// AnnotationAbort ends the migration where it is: the flow goes back to the step
	// before, and stays there.
	AnnotationAbort = "triangle.dev/abort"
	// AnnotationRetry tries again after a rollback, an abort, or a hold.
	AnnotationRetry = "triangle.dev/retry"
	// AnnotationPause holds the migration for as long as it is there.
	AnnotationPause = "triangle.dev/pause"
)
