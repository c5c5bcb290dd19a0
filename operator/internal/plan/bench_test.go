package plan_test

import (
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/internal/plan"
)

// BenchmarkNext plans once for a flow in the middle of its migration, with four weeks
// of hours.
func BenchmarkNext(b *testing.B) {
	w := walkOn(drawBy(7), nil, b.Fatalf)
	w.pass(28*24*time.Hour, true)
	w.operate()
	b.ReportAllocs()
	for b.Loop() {
		w.plan()
	}
}

// BenchmarkRead checks a spec, which takes a look through a year of windows: keep what
// comes of it for each generation.
func BenchmarkRead(b *testing.B) {
	object := aimedAt(drawBy(7))
	for b.Loop() {
		if _, err := plan.Read(object, flows.Find, monday); err != nil {
			b.Fatal(err)
		}
	}
}
