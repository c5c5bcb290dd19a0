//go:build race

package storage

// RaceDetector says that the race detector is on: what runs is ten times
// slower, and suites take a sample.
const RaceDetector = true
