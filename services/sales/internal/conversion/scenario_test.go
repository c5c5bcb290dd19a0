package conversion

import (
	"testing"

	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

func TestScenariosLM1(t *testing.T) {
	scenario.RunDecider(t, "testdata", Decider, map[string]scenario.Decision[State]{
		"agreed": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return func(s State) ([]proto.Message, error) { return Agree(s, "k1", w.Get("lead")), nil }
		},
		"ordered": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return transacts(&salesv1.Transaction{OrderId: w.Get("order"), AmountCents: 1250})
		},
		"finished": func(w scenario.Words) func(State) ([]proto.Message, error) {
			return transacts(&salesv1.Transaction{RequestId: w.Get("request")})
		},
	})
}

func transacts(t *salesv1.Transaction) func(State) ([]proto.Message, error) {
	return func(s State) ([]proto.Message, error) { return Transact(s, "k1", t), nil }
}
