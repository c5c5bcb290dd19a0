// Package operator manages a triangle on Kubernetes: the rollout of its services
// and the migration of its flows.
//
// What a migration does next is decided in internal/plan, a pure function of
// what is wanted, what is observed, and the time.
package operator
