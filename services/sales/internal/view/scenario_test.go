package view

import (
	"testing"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

func TestScenarios(t *testing.T) {
	cause := func(of func(scenario.Words) proto.Message) scenario.Decision[State] {
		return func(w scenario.Words) func(State) ([]proto.Message, error) {
			return func(s State) ([]proto.Message, error) { return Decide(s, "c1", of(w)), nil }
		}
	}
	status := func(s journeyv1.RequestStatus) scenario.Decision[State] {
		return cause(func(w scenario.Words) proto.Message {
			return &salesv1.RequestStatusChanged{RequestId: w.Get("id"), CustomerId: "c1", Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE, Status: s}
		})
	}
	scenario.RunDecider(t, "testdata", Decider, map[string]scenario.Decision[State]{
		"registered": cause(func(w scenario.Words) proto.Message {
			return &salesv1.CustomerRegistered{CustomerId: "c1", CustomerNumber: "N1", Person: &journeyv1.Person{GivenName: w.Get("given-name")}}
		}),
		"changed": cause(func(w scenario.Words) proto.Message {
			return &salesv1.CustomerChanged{CustomerId: "c1", Person: &journeyv1.Person{GivenName: w.Get("given-name")}}
		}),
		"ordered": cause(func(w scenario.Words) proto.Message {
			return &salesv1.OrderPlaced{CustomerId: "c1", OrderId: w.Get("id"), AmountCents: w.Number(t, "cents")}
		}),
		"opened": cause(func(w scenario.Words) proto.Message {
			return &salesv1.RequestOpened{RequestId: w.Get("id"), CustomerId: "c1", Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE}
		}),
		"in-progress": status(journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS),
		"done":        status(journeyv1.RequestStatus_REQUEST_STATUS_DONE),
	})
}
