package contact

import (
	"context"
	"errors"
	"fmt"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/backoffice"
)

// BackOffice does requests while the visitor waits, if it can.
type BackOffice struct {
	// Client asks it; without one every request stays pending.
	Client *backoffice.Client
	// Deadline is how long a visitor is kept waiting for it.
	Deadline time.Duration
}

// Try asks the back office once to do a request, and waits for its answer until
// the deadline. Whatever goes wrong with the back office leaves the request
// pending; an error is only returned when ctx has ended, as then nobody can tell.
func (b BackOffice) Try(ctx context.Context, request backoffice.Request) (Handling, error) {
	if b.Client == nil {
		return stays("there is no back office to ask"), nil
	}
	asking, cancel := context.WithTimeout(ctx, b.Deadline)
	defer cancel()
	answer, err := b.Client.Ask(asking, request)
	refusal, refused := errors.AsType[backoffice.Refusal](err)
	switch {
	case err == nil && answer.Done:
		return Handling{channelv1.Handling_HANDLING_STRAIGHT_THROUGH, answer.Reference}, nil
	case err == nil:
		return stays("the back office has it in hand"), nil
	case ctx.Err() != nil:
		return Handling{}, fmt.Errorf("ask the back office: %w", ctx.Err())
	case asking.Err() != nil:
		return stays(fmt.Sprintf("the back office did not answer within %s", b.Deadline)), nil
	case refused:
		return stays(refusal.Error()), nil
	}
	// What the network says may quote the partner's address, with a password.
	return stays("the back office can't be reached"), nil
}

// stays is a request that stays pending, and why.
func stays(why string) Handling { return Handling{channelv1.Handling_HANDLING_PENDING, why} }
