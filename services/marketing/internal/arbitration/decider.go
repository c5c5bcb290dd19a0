// Package arbitration keeps how lists of next best actions are made: which factors
// count, whether chance explores, how many customers are a control group, and how
// often a customer is approached.
package arbitration

import (
	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of how lists are made.
const Stream = "arbitration"

// Default is how lists are made before anybody says otherwise: with every factor,
// exploring, one customer in twenty in the control group, and no limits.
func Default() *marketingv1.Arbitration {
	return &marketingv1.Arbitration{Exploration: marketingv1.Exploration_EXPLORATION_THOMPSON, ControlShare: 0.05}
}

// State is how lists are made.
type State struct {
	Configured *marketingv1.Arbitration
}

// Decider is the pure core of arbitration's configuration.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{Configured: Default()} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s State, event proto.Message) State {
	if configured, ok := event.(*marketingv1.ArbitrationConfigured); ok {
		s.Configured = configured.GetArbitration()
	}
	return s
}

// Configure says how lists are made from now on. To say the same again writes
// nothing.
func Configure(s State, a *marketingv1.Arbitration) []proto.Message {
	if proto.Equal(s.Configured, a) {
		return nil
	}
	return []proto.Message{&marketingv1.ArbitrationConfigured{Arbitration: a}}
}
