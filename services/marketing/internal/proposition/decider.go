// Package proposition keeps the catalogue of what marketing may offer, with its
// content per channel.
package proposition

import (
	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of a proposition.
func Stream(id string) string { return "proposition-" + id }

// State is a proposition as it was defined last; nil before that.
type State struct {
	Defined *marketingv1.PropositionDefined
}

// Decider is the pure core of a proposition.
var Decider = decider.Decider[State]{
	Initial: func() State { return State{} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s State, event proto.Message) State {
	if defined, ok := event.(*marketingv1.PropositionDefined); ok {
		s.Defined = defined
	}
	return s
}

// Define says what marketing may offer. Defining the same again writes nothing.
func Define(s State, p *marketingv1.PropositionDefined) []proto.Message {
	if proto.Equal(s.Defined, p) {
		return nil
	}
	return []proto.Message{p}
}

// ContentFor returns how a proposition is put in a channel; ok is false when it
// has no content for it.
func ContentFor(p *marketingv1.PropositionDefined, channel journeyv1.Channel) (text string, ok bool) {
	for _, c := range p.GetContents() {
		if c.GetChannel() == channel && channel != journeyv1.Channel_CHANNEL_UNSPECIFIED {
			return c.GetText(), true
		}
	}
	return "", false
}
