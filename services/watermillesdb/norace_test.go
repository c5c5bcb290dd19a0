//go:build !race

package watermillesdb_test

// raceDetector tells whether it is on.
const raceDetector = false
