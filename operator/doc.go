// Package operator manages a triangle on Kubernetes: the rollout of its services
// and the migration of its flows.
//
// What a migration does next is decided in internal/plan, and what a rollout does
// next in internal/rollout: pure functions of what is wanted, what is observed, and
// the time. Which objects an environment consists of says internal/workload, as pure.
// internal/controller is the shell around rollouts, internal/migrate that around
// migrations, and internal/run makes one program of both.
package operator
