package request

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
	"github.com/triangle-suite/triangle/services/sales/internal/process"
)

// kind is what is asked for; a complaint when it is not given.
func kind(w scenario.Words) journeyv1.RequestKind {
	if name := w.Get("kind"); name != "" {
		return journeyv1.RequestKind(journeyv1.RequestKind_value["REQUEST_KIND_"+name])
	}
	return journeyv1.RequestKind_REQUEST_KIND_COMPLAINT
}

func TestScenarios(t *testing.T) {
	advance := func(to journeyv1.RequestStatus, by process.Mover) scenario.Decision[State] {
		return func(w scenario.Words) func(State) ([]proto.Message, error) {
			return Advance{RequestID: "r1", To: to, By: by, Detail: w.Get("detail")}.Decide
		}
	}
	scenario.RunDecider(t, "testdata", Decider, map[string]scenario.Decision[State]{
		"submitted": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return Open{
				RequestID: "r1", CustomerID: "c1", ContactID: "k1", Kind: kind(w),
				Text: w.Get("text"), SubmittedAt: time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC),
			}.Decide
		},
		"handled":         advance(statusDone, process.Channel),
		"handled-in-part": advance(statusInProgress, process.Channel),
		"resolve":         advance(statusDone, process.Employee),
		"back-office-says": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return RecordAnswer{RequestID: "r1", Done: w.Get("status") == "done", Reference: w.Get("reference")}.Decide
		},
	})
}
