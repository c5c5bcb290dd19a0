package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FlowApprovalSpec is somebody's word that a step may begin. It never changes: who
// thinks better of it aborts the migration.
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an approval can't be changed: make another one"
type FlowApprovalSpec struct {
	// Flow is the name of the InformationFlow, in this namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Flow string `json:"flow"`

	// Step is the step that may begin.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	Step string `json:"step"`

	// PlanHash is the plan that was looked at, as the flow's status tells it: an
	// approval of another plan counts for nothing.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +required
	PlanHash string `json:"planHash"`

	// ApprovedBy is who approves: the user who makes the object, or it is refused. The
	// name of a service account may take 339 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +required
	ApprovedBy string `json:"approvedBy"`

	// Reason is why, for whoever reads it later.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Reason string `json:"reason,omitempty"`
}

// FlowApprovalStatus tells what became of an approval.
type FlowApprovalStatus struct {
	// Verdict tells whether it counts.
	// +optional
	Verdict Verdict `json:"verdict,omitempty"`
	// Message says why not, or when it was followed.
	// +optional
	Message string `json:"message,omitempty"`
}

// Verdict tells whether an approval counts.
// +kubebuilder:validation:Enum=Counted;Stale;Foreign;Waiting
type Verdict string

// The verdicts.
const (
	// ApprovalCounted says that the step has begun by it.
	ApprovalCounted Verdict = "Counted"
	// ApprovalStale says that it is of another plan, or of a step that is past.
	ApprovalStale Verdict = "Stale"
	// ApprovalForeign says that there is no such flow, or no such step.
	ApprovalForeign Verdict = "Foreign"
	// ApprovalWaiting says that the flow does not wait for it yet.
	ApprovalWaiting Verdict = "Waiting"
)

// FlowApproval lets a step of a migration begin.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=triangle-suite
// +kubebuilder:printcolumn:name="Flow",type=string,JSONPath=`.spec.flow`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.spec.step`
// +kubebuilder:printcolumn:name="By",type=string,JSONPath=`.spec.approvedBy`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type FlowApproval struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// +required
	Spec FlowApprovalSpec `json:"spec"`
	// +optional
	Status FlowApprovalStatus `json:"status,omitzero"`
}

// FlowApprovalList is a list of them.
// +kubebuilder:object:root=true
type FlowApprovalList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []FlowApproval `json:"items"`
}
