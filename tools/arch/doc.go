// Package arch holds the architecture's rules that the compiler can't hold, as
// tests: one test per rule, each with its reason.
package arch
