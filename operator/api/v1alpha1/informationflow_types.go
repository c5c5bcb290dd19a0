package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// InformationFlowSpec is how often a flow is to be taken in, and by which steps it
// gets there.
type InformationFlowSpec struct {
	// Flow is the flow's name in the catalogue that the services announce.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a flow keeps its name: make another InformationFlow for another flow"
	// +required
	Flow string `json:"flow"`

	// State is Active, or Paused to hold the migration where it is. A flow that runs
	// goes on running at its present step.
	// +kubebuilder:default=Active
	// +optional
	State FlowState `json:"state,omitempty"`

	// Migration is the way from the first step to the last.
	// +required
	Migration Migration `json:"migration"`
}

// FlowState tells whether a migration goes on.
// +kubebuilder:validation:Enum=Active;Paused
type FlowState string

// The states.
const (
	FlowActive FlowState = "Active"
	FlowPaused FlowState = "Paused"
)

// Migration is a flow's way from slow to fast.
type Migration struct {
	// Windows are when a step may begin; at any time when there are none. A rollback
	// waits for no window.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=14
	// +optional
	Windows []MaintenanceWindow `json:"windows,omitempty"`

	// OnFailure is what happens when a gate fails.
	// +kubebuilder:default=RollBack
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`

	// Steps are taken one after the other; each is faster than the one before.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(s, self.exists_one(other, other.name == s.name))",message="give each step a name of its own"
	// +required
	Steps []Step `json:"steps"`
}

// OnFailure is what happens when a gate fails.
// +kubebuilder:validation:Enum=RollBack;Hold
type OnFailure string

// What may happen.
const (
	// RollBack goes one step back, forward from the checkpoint: one more epoch.
	RollBack OnFailure = "RollBack"
	// Hold stays at the step, and waits for somebody.
	Hold OnFailure = "Hold"
)

// MaintenanceWindow is a time of day on some days of the week.
// +kubebuilder:validation:XValidation:rule="self.start < self.end",message="a window begins before it ends, on one day: write two for one that goes past midnight"
type MaintenanceWindow struct {
	// Days are the days of the week.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	// +required
	Days []Weekday `json:"days"`

	// Start is when the window opens, as hh:mm.
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	// +required
	Start string `json:"start"`

	// End is when it closes, as hh:mm; 24:00 is the end of the day.
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	// +required
	End string `json:"end"`

	// TimeZone is the zone of these times.
	// +optional
	TimeZone TimeZone `json:"timeZone,omitempty"`
}

// Weekday is a day of the week.
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// TimeZone is a name of the IANA time zone database; UTC when there is none. The
// server would take a distance such as +02:00 too, which knows no summer time.
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][-A-Za-z0-9_+/]*$') && self != 'Local' && timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0",message="there is no such time zone: write a name of the IANA database such as Europe/Amsterdam"
type TimeZone string

// Step is a cadence, and what has to be so before the flow goes on to the next one.
type Step struct {
	// Name is the step's own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`

	// Cadence is how often the flow is taken in at this step.
	// +required
	Cadence Cadence `json:"cadence"`

	// Shadow has the step's cadence tried beside the present one first.
	// +optional
	Shadow *Shadow `json:"shadow,omitempty"`

	// Approval is who has to agree before the step begins.
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// Gates are what has to be so, while the flow runs at this step, before the next
	// one may begin; and what may not fail.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Gates []Gate `json:"gates,omitempty"`
}

// Cadence is a cron expression with a time zone, or a mode.
// +kubebuilder:validation:XValidation:rule="has(self.cron) != has(self.mode)",message="write either cron or mode: RealTime"
// +kubebuilder:validation:XValidation:rule="has(self.cron) || !has(self.timeZone)",message="a time zone belongs to a cron expression"
type Cadence struct {
	// Cron is five fields (minute, hour, day of month, month, day of week), or six
	// with seconds first.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Cron string `json:"cron,omitempty"`

	// TimeZone is the zone of the expression.
	// +optional
	TimeZone TimeZone `json:"timeZone,omitempty"`

	// Mode is RealTime: events are taken in as they come.
	// +optional
	Mode CadenceMode `json:"mode,omitempty"`
}

// CadenceMode is a cadence that has no expression.
// +kubebuilder:validation:Enum=RealTime
type CadenceMode string

// RealTime takes events in as they come.
const RealTime CadenceMode = "RealTime"

// Shadow is a copy of the flow's tables that follows the step's cadence.
type Shadow struct {
	// Windows is how many comparisons in a row have to be equal.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +required
	Windows int32 `json:"windows"`
}

// Approval is somebody's word, as a FlowApproval.
type Approval struct {
	// Mode is Required.
	// +kubebuilder:validation:Enum=Required
	// +required
	Mode ApprovalMode `json:"mode"`

	// Timeout is after how long, without anybody's word, the migration holds: a later
	// word counts for nothing until somebody has it retried. It waits for ever when
	// there is none.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
}

// ApprovalMode tells whether somebody has to agree.
type ApprovalMode string

// ApprovalRequired wants a FlowApproval.
const ApprovalRequired ApprovalMode = "Required"

// Gate is one thing that has to be so. It passes, fails, or is not known for want of
// data, which holds the migration and rolls nothing back.
// +kubebuilder:validation:XValidation:rule="[has(self.parity), has(self.lag), has(self.freshness), has(self.errorBudget)].filter(x, x).size() == 1",message="a gate is exactly one of parity, lag, freshness and errorBudget"
// +kubebuilder:validation:XValidation:rule="!has(self.lag) || !has(self.consecutive)",message="nothing is counted of lag: write for how long it has to be so, in for"
type Gate struct {
	// Name is the gate's own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`

	// Parity wants what was produced and what was taken in to be the same.
	// +optional
	Parity *ParityGate `json:"parity,omitempty"`

	// Lag bounds how many events may wait.
	// +optional
	Lag *LagGate `json:"lag,omitempty"`

	// Freshness bounds how old what waits may be.
	// +optional
	Freshness *FreshnessGate `json:"freshness,omitempty"`

	// ErrorBudget wants some of the flow's error budget to be left.
	// +optional
	ErrorBudget *ErrorBudgetGate `json:"errorBudget,omitempty"`

	// For is for how long, without a break, it has to be so.
	// +optional
	For Duration `json:"for,omitempty"`

	// Consecutive is for how many in a row: of parity proofs, of freshness and the
	// error budget hours that were measured; 1 by default. Of lag nothing is counted.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Consecutive int32 `json:"consecutive,omitempty"`

	// Effect is Enforce, or DryRun for a gate of which only the result is told.
	// +kubebuilder:default=Enforce
	// +optional
	Effect GateEffect `json:"effect,omitempty"`
}

// GateEffect is what comes of a gate.
// +kubebuilder:validation:Enum=Enforce;DryRun
type GateEffect string

// What may come of a gate.
const (
	Enforce GateEffect = "Enforce"
	DryRun  GateEffect = "DryRun"
)

// ParityGate bounds what an audit may find.
type ParityGate struct {
	// Missing is how many events may have been produced and neither delivered nor
	// filtered nor parked.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Missing int64 `json:"missing"`
	// Duplicated is how many may have been taken in more than once.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Duplicated int64 `json:"duplicated"`
	// Reordered is how many may have been taken in out of their key's order.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Reordered int64 `json:"reordered"`
}

// LagGate bounds how many events may wait.
type LagGate struct {
	// MaxEvents is how many, at most, by the word of the flow's consumer.
	// +kubebuilder:validation:Minimum=0
	// +required
	MaxEvents int64 `json:"maxEvents"`
}

// FreshnessGate bounds how old the oldest event that waits may be.
type FreshnessGate struct {
	// Max is how old.
	// +required
	Max Duration `json:"max"`
	// Objective is for which share of the time that has to hold, in per cent; 100
	// when there is none.
	// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="an objective is above 0: what has to hold at no time is no gate"
	// +optional
	Objective Percent `json:"objective,omitempty"`
}

// ErrorBudgetGate wants some of the error budget to be left.
type ErrorBudgetGate struct {
	// MinRemainingPercent is how much.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +required
	MinRemainingPercent int32 `json:"minRemainingPercent"`
}

// Percent is a number from 0 to 100 with at most four digits after the
// point, such as 99.9. It is text, as a number's digits would not come back as they
// were written.
// +kubebuilder:validation:MaxLength=8
// +kubebuilder:validation:Pattern=`^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$`
type Percent string

// InformationFlowStatus is what the flow's control stream says, at the last
// transition. Live figures, such as lag and staleness, are metrics of the operator
// (triangle_operator_flow_...).
type InformationFlowStatus struct {
	// ObservedGeneration is the generation of the spec that was looked at.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// PlanHash names the steps as they were looked at: an approval is of one plan.
	// +optional
	PlanHash string `json:"planHash,omitempty"`

	// From, To, Events, Key, Owner and Rationale are the catalogue's.
	// +optional
	From string `json:"from,omitempty"`
	// +optional
	To string `json:"to,omitempty"`
	// +optional
	// +listType=atomic
	Events []string `json:"events,omitempty"`
	// +optional
	Key string `json:"key,omitempty"`
	// +optional
	Owner string `json:"owner,omitempty"`
	// +optional
	Rationale string `json:"rationale,omitempty"`

	// Epoch is the stretch of the flow's life that it is in.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// Cadence is what the flow runs at, in the catalogue's notation.
	// +optional
	Cadence string `json:"cadence,omitempty"`
	// CurrentStep is the step that has this cadence.
	// +optional
	CurrentStep string `json:"currentStep,omitempty"`
	// TargetStep is the last step, or the one that a migration that holds stays at.
	// +optional
	TargetStep string `json:"targetStep,omitempty"`
	// StepSince is when the present step began, by the store's time.
	// +optional
	StepSince *metav1.Time `json:"stepSince,omitempty"`

	// LastParity is the last proof as it stood at the last transition: what others find
	// that come between two transitions is a metric.
	// +optional
	LastParity *Parity `json:"lastParity,omitempty"`
	// Gates are those of the present step, at the last transition of one of them.
	// +listType=map
	// +listMapKey=name
	// +optional
	Gates []GateStatus `json:"gates,omitempty"`
	// History is how the flow came here: the last ten transitions, the latest first.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +optional
	History []Transition `json:"history,omitempty"`

	// HandledAbort and HandledRetry are the last requests that were followed.
	// +optional
	HandledAbort string `json:"handledAbort,omitempty"`
	// +optional
	HandledRetry string `json:"handledRetry,omitempty"`

	// Conditions tell how it stands; see the Condition constants.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Parity is what came of holding a stretch of the log against what was taken in.
type Parity struct {
	// Range is the first and the last position, as first..last.
	Range string `json:"range"`
	// Produced is Delivered, Filtered and Parked together, unless something is wrong.
	Produced  int64 `json:"produced"`
	Delivered int64 `json:"delivered"`
	Filtered  int64 `json:"filtered"`
	Parked    int64 `json:"parked"`
	// Missing, Duplicated and Reordered are what is wrong.
	Missing    int64 `json:"missing"`
	Duplicated int64 `json:"duplicated"`
	Reordered  int64 `json:"reordered"`
	// Intake and Content tell how the digests compare.
	Intake  Match `json:"intake"`
	Content Match `json:"content"`
}

// Match tells how two digests compare.
// +kubebuilder:validation:Enum=Match;Mismatch;Unknown
type Match string

// How two digests compare.
const (
	Matches      Match = "Match"
	Mismatches   Match = "Mismatch"
	MatchUnknown Match = "Unknown"
)

// GateStatus is a gate at its last transition.
type GateStatus struct {
	// Name is the gate's.
	Name string `json:"name"`
	// Result is what came of it.
	Result GateResult `json:"result"`
	// Value and Threshold are what was seen then, and what was wanted; what is seen now
	// is a metric.
	// +optional
	Value string `json:"value,omitempty"`
	// +optional
	Threshold string `json:"threshold,omitempty"`
	// Since is when it came to this result.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// GateResult is what comes of a gate.
// +kubebuilder:validation:Enum=Pass;Fail;Unknown
type GateResult string

// What may come of a gate.
const (
	GatePasses  GateResult = "Pass"
	GateFails   GateResult = "Fail"
	GateUnknown GateResult = "Unknown"
)

// Transition is one event of a flow's life.
type Transition struct {
	// At is when, by the store's time.
	At metav1.Time `json:"at"`
	// Epoch is the epoch that began.
	Epoch int64 `json:"epoch"`
	// Step is the step; empty for a cadence that no step has.
	// +optional
	Step string `json:"step,omitempty"`
	// By is who asked, and Reason why.
	By string `json:"by"`
	// +optional
	Reason string `json:"reason,omitempty"`
}

// InformationFlow moves one flow of the triangle from slow to fast.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=flow,categories=triangle-suite
// +kubebuilder:printcolumn:name="From",type=string,JSONPath=`.status.from`
// +kubebuilder:printcolumn:name="To",type=string,JSONPath=`.status.to`
// +kubebuilder:printcolumn:name="Cadence",type=string,JSONPath=`.status.cadence`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.currentStep`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.status.targetStep`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type InformationFlow struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// +required
	Spec InformationFlowSpec `json:"spec"`
	// +optional
	Status InformationFlowStatus `json:"status,omitzero"`
}

// InformationFlowList is a list of them.
// +kubebuilder:object:root=true
type InformationFlowList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []InformationFlow `json:"items"`
}
