package registration

import (
	"testing"

	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
	"github.com/triangle-suite/triangle/services/sales/internal/customer"
)

func TestScenarios(t *testing.T) {
	scenario.RunDecider(t, "testdata", Decider, map[string]scenario.Decision[State]{
		"found": func(w scenario.Words) func(State) ([]proto.Message, error) {
			found := customer.Found{
				CustomerID: w.Get("customer"), Rivals: w.List("rivals"),
				Identification: salesv1.Identification(salesv1.Identification_value["IDENTIFICATION_"+w.Get("as")]),
			}
			return func(s State) ([]proto.Message, error) { return Register(s, "k1", found), nil }
		},
	})
}
