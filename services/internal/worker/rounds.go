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

// Rounds is work in rounds: one at first, and then one after each commit to the
// database, and when a time comes that a round has named.
func Rounds(db *projection.DB, round Round) func(context.Context, Tell) error {
	return func(ctx context.Context, tell Tell) error {
		for {
			changed := db.Changed() // before looking, so that no commit is missed
			again, err := round(ctx)
			if err != nil && again.IsZero() {
				return err
			}
			tell(err)
			if !wait(ctx, changed, again) {
				return ctx.Err()
			}
		}
	}
}
