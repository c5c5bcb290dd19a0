// Package kubernetes proves Triangle on a real Kubernetes, through what a user has:
// kubectl, the REST APIs and the triangle command. It runs on a cluster of its own,
// of one node on this machine, or on the one that KUBECONFIG names. Each test is a story
// in a namespace of its own: make e2e-cluster tells the first one, and make e2e-full all
// of them.
//
// In all that move anything, customers are registered by number, and the end is an
// account: how many were sent, and by an audit how many were seen, lost, or came twice.
//
// Time is compressed by cadences of seconds, never by another clock.
package kubernetes
