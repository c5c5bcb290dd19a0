// Package netpol enforces NetworkPolicies on a node whose pods it routes itself: the
// policies that are applied become a table of nftables.
//
//	pods, namespaces, policies ── Compile ──▶ Rules ── Ruleset ──▶ nft -f
//	                                            └─ Allows: who may reach whom
//
// What is enforced is what Kubernetes says of networking.k8s.io/v1: a pod that a policy
// selects for a direction is closed in it, but for what some policy allows; both ends
// have to allow a connection; what was allowed to begin may go on; a pod reaches itself.
// Addresses are those behind a Service, as the kernel has them once it has chosen one.
// What the node itself sends to its pods is never held back, so that kubelets may probe;
// what pods send to the node is.
//
// Pods on the node's own network are no pods to a policy: neither selected nor a peer.
// A pod is known once its address is, a moment after it has started: until then it may
// send what a policy will forbid it, and is let in nowhere that asks who it is.
package netpol
