//go:build race

package storage

// raced says that the race detector is on: what runs is ten times slower, and
// suites take a sample.
const raced = true
