package segment

import (
	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of a segment.
func Stream(id string) string { return "segment-" + id }

// State is a segment as it was defined last; nil before that.
type State struct {
	Defined *marketingv1.SegmentDefined
}

// Decider is the pure core of a segment.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s State, event proto.Message) State {
	if defined, ok := event.(*marketingv1.SegmentDefined); ok {
		s.Defined = defined
	}
	return s
}

// Define says who belongs together. Defining the same again writes nothing.
func Define(s State, d *marketingv1.SegmentDefined) []proto.Message {
	if proto.Equal(s.Defined, d) {
		return nil
	}
	return []proto.Message{d}
}
