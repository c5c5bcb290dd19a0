package outbound

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// erased is said of a message to somebody whose key was destroyed: where it goes
// can't be put on record, and it goes nowhere.
const erased = "the customer has been erased"

// command is what is decided on a message.
type command interface {
	Decide(State) ([]proto.Message, error)
}

// handle has a command handled on a message's stream, or the other one if the
// customer's key turns out to be destroyed, and what the first would put on record
// can't be.
func handle(ctx context.Context, streams *decider.Streams, origin decider.Origin, id string, c, ofErased command) (decider.Outcome[State], error) {
	outcome, err := decider.Handle(ctx, streams, origin, Stream(id), Decider, c.Decide)
	if errors.Is(err, keyring.ErrDestroyed) {
		return decider.Handle(ctx, streams, origin, Stream(id), Decider, ofErased.Decide)
	}
	return outcome, err
}
