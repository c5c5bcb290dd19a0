// Package kubernetes proves Triangle on a real Kubernetes, through what a user has:
// kubectl, the REST APIs and the triangle command. It runs on a cluster of its own,
// of one node on this machine, or on the one that KUBECONFIG names.
//
// Time is compressed by cadences of seconds, never by another clock.
package kubernetes
