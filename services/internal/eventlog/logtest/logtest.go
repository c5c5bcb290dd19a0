// Package logtest is the conformance suite of the event log: what every
// implementation of the port must do, told as tests.
//
// Its tests may share one store, which nothing else writes to meanwhile: each
// keeps to streams and event types that no other test has.
package logtest

import (
	"testing"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// tale is one thing that a log must do.
type tale struct {
	name string
	tell func(f *fixture)
}

// Run holds an implementation to the suite. open opens a log for one test and
// sees to its closing when the test ends; logs of several tests may share one
// store.
func Run(t *testing.T, open func(t testing.TB) eventlog.Log) {
	t.Helper()
	for _, chapter := range []struct {
		name  string
		tales []tale
	}{
		{"append", appendTales},
		{"read a stream", readStreamTales},
		{"read $all", readAllTales},
		{"bound a stream", maxCountTales},
		{"follow $all", followAllTales},
		{"follow a stream", followStreamTales},
		{"end", endTales},
		{"many at once", concurrencyTales},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			for _, tale := range chapter.tales {
				t.Run(tale.name, func(t *testing.T) { tale.tell(newFixture(t, open(t))) })
			}
		})
	}
	t.Run("any history agrees with a naive twin", func(t *testing.T) { compareWithTwin(t, open(t)) })
}
