//go:build !race

package storage

// RaceDetector says that the race detector is on.
const RaceDetector = false
