package decider

import (
	"context"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// recordNothing records that a reaction found nothing to do on a version of a
// stream, in that stream: so the cause finds it when it comes again, whatever has
// changed meanwhile, and whoever counts answers need not guess. It returns the
// version that the stream has then.
func (s *Streams) recordNothing(ctx context.Context, origin Origin, stream string, on Version) (Version, error) {
	if origin.Handler == "" {
		return on, nil
	}
	nothing := &flowv1.NothingDecided{Handler: origin.Handler, CauseId: origin.CausationID}
	appended, _, err := s.append(ctx, origin, stream, on, []proto.Message{nothing})
	if err != nil {
		return Version{}, err
	}
	return Version{Exists: true, Revision: appended.Revision}, nil
}

// isNothing tells the record of a decision to do nothing from what happened. No
// Evolve is shown one: it changes no state.
func isNothing(event proto.Message) bool {
	_, is := event.(*flowv1.NothingDecided)
	return is
}
