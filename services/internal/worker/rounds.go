package worker

import (
	"context"
	"time"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Round does what there is to do. It returns when to look again at the latest;
// the zero time when only a change can make a difference. With an error and the
// zero time the worker backs off.
type Round func(ctx context.Context) (again time.Time, err error)

// pace is how long after the beginning of a round the next one begins at the
// earliest. While one commit follows the other, what came of several is looked at
// together: nobody who waits for an answer waits for a worker, but all share the
// processors with it.
const pace = 20 * time.Millisecond

// Rounds is work in rounds: one at first, and then one after a commit to the
// database, and when a time comes that a round has named.
func Rounds(db *projection.DB, round Round) func(context.Context, Tell) error {
	return func(ctx context.Context, tell Tell) error {
		for {
			changed := db.Changed() // before looking, so that no commit is missed
			next := time.Now().Add(pace)
			again, err := round(ctx)
			if err != nil && again.IsZero() {
				return err
			}
			tell(err)
			if !wait(ctx, changed, again) || !wait(ctx, nil, next) {
				return ctx.Err()
			}
		}
	}
}
