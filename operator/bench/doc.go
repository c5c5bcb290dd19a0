// Package bench measures the operator with very many flows: what it writes, how long
// it takes beside a client that has nothing to decide, and how much memory a flow
// takes. Its tests hold the counts on a few flows; the benchmark tells all of it.
package bench
