package cli

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// waits FLOW LAG AGE tells, as the flow's consumer, how much waits and since when.
func waits(ts *testscript.TestScript, _ bool, args []string) {
	lag, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	progressed := &flowv1.FlowProgressed{Flow: args[0], Epoch: 1, Lag: &lag, AsOf: timestamppb.Now()}
	if lag > 0 {
		progressed.OldestWaiting = timestamppb.New(time.Now().Add(-duration(ts, args[2])))
	}
	ts.Check(write(ts, "progress-"+args[0], progressed))
}

// come FLOW tells, as the flow's consumer, that it has taken in all that there will
// ever be.
func come(ts *testscript.TestScript, _ bool, args []string) {
	end := &flowv1.Position{Commit: math.MaxInt64, Prepare: math.MaxInt64}
	ts.Check(write(ts, "progress-"+args[0], &flowv1.FlowProgressed{Flow: args[0], Epoch: 1, Position: end}))
}

// measured FLOW AGO STALENESS SHARE TOTAL GOOD tells, as the flow's consumer, how
// fresh it was.
func measured(ts *testscript.TestScript, _ bool, args []string) {
	share, err := strconv.ParseFloat(args[3], 64)
	ts.Check(err)
	ts.Check(write(ts, "freshness-"+args[0], &flowv1.FreshnessMeasured{
		Flow: args[0], Epoch: 1, Since: timestamppb.New(time.Now().Add(-duration(ts, args[1]))),
		Total: durationpb.New(duration(ts, args[4])), Good: durationpb.New(duration(ts, args[5])),
		Objective: &flowv1.Objective{Staleness: durationpb.New(duration(ts, args[2])), Share: share},
	}))
}

func duration(ts *testscript.TestScript, text string) time.Duration {
	d, err := time.ParseDuration(text)
	ts.Check(err)
	return d
}

func TestTimesAreToldShort(t *testing.T) {
	tests := map[time.Duration]string{
		0:                                "0s",
		400 * time.Millisecond:           "0s",
		10 * time.Second:                 "10s",
		65 * time.Minute:                 "1h5m",
		20 * time.Minute:                 "20m",
		90 * time.Second:                 "1m30s",
		26 * time.Hour:                   "26h",
		26*time.Hour + 61*time.Second:    "26h1m",
		48 * time.Hour:                   "2d",
		182 * time.Hour:                  "7d14h",
		10*24*time.Hour + 10*time.Minute: "10d",
		672 * time.Hour:                  "28d",
	}
	for d, want := range tests {
		if got := short(d); got != want {
			t.Errorf("%s is told as %s, want %s", d, got, want)
		}
	}
}
