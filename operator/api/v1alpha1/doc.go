// Package v1alpha1 holds the kinds that a platform team declares: an environment
// (Triangle), the migration of a flow (InformationFlow), and somebody's word that
// it may go on (FlowApproval).
//
// The spec is what is wanted. What is the case stands in the event store, on the
// control streams; the status is told from there, and can be made anew at any
// time.
//
// +kubebuilder:object:generate=true
// +groupName=triangle.dev
package v1alpha1
