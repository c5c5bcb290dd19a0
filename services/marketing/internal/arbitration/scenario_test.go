package arbitration

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

// MA-2: the scenarios say how lists are to be made, as the body of the REST call, and
// which events come of it.
func TestScenarioMA2Arbitration(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		state := Decider.Initial()
		return map[string]scenario.Command{"configure": func(d scenario.Words) string {
			var wanted *marketingv1.Arbitration
			if d.Input != "" {
				wanted = &marketingv1.Arbitration{}
				if err := protojson.Unmarshal([]byte(d.Input), wanted); err != nil {
					d.Fatalf(t, "%v", err)
				}
			}
			a, err := configured(wanted)
			if err != nil {
				return scenario.Tell(nil, err)
			}
			events := Configure(state, a)
			for _, event := range events {
				state = Evolve(state, event)
			}
			return scenario.Tell(events, nil)
		}}
	})
}

// What is kept does not share memory with the request.
func TestARequestIsCopied(t *testing.T) {
	request := &marketingv1.Arbitration{
		Exploration: marketingv1.Exploration_EXPLORATION_OFF,
		FactorsOff:  []marketingv1.Factor{marketingv1.Factor_FACTOR_LEVER, marketingv1.Factor_FACTOR_CONTEXT},
	}
	before := proto.CloneOf(request)
	if _, err := configured(request); err != nil || !proto.Equal(before, request) {
		t.Errorf("the request became %v (%v)", request, err)
	}
}
