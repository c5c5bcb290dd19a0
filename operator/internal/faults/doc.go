// Package faults takes the operator through what goes wrong while it moves a flow:
// processes that are killed or stand still, a store that can't be reached, words of
// another version, people and programs that change things meanwhile. All of it is
// real: the API server, the event store, the services and the operator as processes,
// and a prober whose numbered events are accounted for in the end.
package faults
