package idle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// TimeOuts are for how long something may lie untouched in each channel before it
// times out.
type TimeOuts map[journeyv1.Channel]time.Duration

// Shortest is what can be set: by less, clocks of several machines differ.
const Shortest = 5 * time.Minute

// shortest is the time within which nothing times out that begins now.
func (t TimeOuts) shortest() time.Duration { return slices.Min(slices.Collect(maps.Values(t))) }

// Channels are those that have a time-out, in their order.
func (t TimeOuts) Channels() []journeyv1.Channel { return slices.Sorted(maps.Keys(t)) }

// Untouched is something that nobody has touched for its time-out.
type Untouched struct {
	ID string
	// Touches are how many there had been when it was looked at. Another one since then
	// wins: somebody is there.
	Touches uint64
	// At is when its time was up.
	At time.Time
	// Origin is that of what comes of it. Whoever finds first that it has timed out
	// after so many touches decides for all who find it.
	Origin decider.Origin

	touchedAt int64
}

// Expirer has what nobody touches for its channel's time-out end. Its Round is a
// worker's.
//
// It ends when its deadline has passed by the times that were recorded, if nothing
// has touched it since: that is decided in its stream, where a touch that nobody here
// has heard of yet counts. And the clock must have gone on steadily for as long as
// the time-out, though an hour is enough: see clock. So a clock that jumps, or that
// was wrong when the process began, ends nothing that goes on; where the time-out is
// longer, an hour is left to set it right.
type Expirer struct {
	DB       *projection.DB
	Table    Table
	TimeOuts TimeOuts
	// End ends it, unless it was touched, or ended, meanwhile.
	End func(context.Context, Untouched) error
	// Now is the time of day. Count counts, and is never set.
	Now   func() time.Time
	Count func() time.Duration

	clock clock
	next  time.Duration // the count at which there is something to look for
}

// steadyEnough is for how long the clock must have gone on, at most.
const steadyEnough = time.Hour

// Round ends what has timed out, and is due again when the next ones have. In between
// it looks at the clock only: what begins, or is touched, has its time.
func (x *Expirer) Round(ctx context.Context) (again time.Time, err error) {
	now, count := x.Now().UTC(), x.Count()
	steady := x.clock.steadyFor(now, count)
	if steady > 0 && count < x.next {
		return now.Add(x.next - count), nil
	}
	wait := x.TimeOuts.shortest() // what begins now has that long at least
	for _, channel := range x.TimeOuts.Channels() {
		timeOut := x.TimeOuts[channel]
		if lacks := min(timeOut, steadyEnough) - steady; lacks > 0 {
			wait = min(wait, lacks)
			continue
		}
		after, ending := x.expire(ctx, channel, timeOut, now)
		wait, err = min(wait, after), errors.Join(err, ending)
	}
	if err != nil {
		return time.Time{}, err // all of it again
	}
	x.next = count + wait
	return now.Add(wait), nil
}

// expire ends what has timed out in a channel, and returns how long it is until the
// next one has.
func (x *Expirer) expire(ctx context.Context, channel journeyv1.Channel, timeOut time.Duration, now time.Time) (wait time.Duration, err error) {
	since := now.Add(-timeOut).UnixNano()
	due, err := x.untouchedSince(ctx, channel, since)
	if err != nil {
		return 0, err
	}
	for _, u := range due {
		u.At = time.Unix(0, u.touchedAt).UTC().Add(timeOut)
		u.Origin.Key = fmt.Sprintf("%s:untouched:%d", u.ID, u.Touches)
		u.Origin.Service, u.Origin.Time = flows.Channel, now
		err = errors.Join(err, x.End(ctx, u))
	}
	if err != nil {
		return 0, err
	}
	var next int64
	if err := x.DB.QueryRow(ctx, `SELECT coalesce(min(touched_at), ?) FROM `+x.Table.Name+` WHERE channel = ? AND touched_at > ?`,
		now.UnixNano(), int32(channel), since).Scan(&next); err != nil {
		return 0, fmt.Errorf("look what times out next in %s: %w", x.Table.Name, err)
	}
	return time.Duration(next - since), nil
}

func (x *Expirer) untouchedSince(ctx context.Context, channel journeyv1.Channel, since int64) ([]Untouched, error) {
	rows, err := x.DB.Query(ctx, `SELECT `+x.Table.ID+`, touches, touched_at, correlation_id, event_id, commit_position, prepare_position
		FROM `+x.Table.Name+` WHERE channel = ? AND touched_at <= ? ORDER BY touched_at, `+x.Table.ID, int32(channel), since)
	if err != nil {
		return nil, fmt.Errorf("look what has timed out in %s: %w", x.Table.Name, err)
	}
	due, err := projection.Collect(rows, func(row projection.Scanner, u *Untouched) error {
		cause := &u.Origin.CausePosition
		return row.Scan(&u.ID, &u.Touches, &u.touchedAt, &u.Origin.CorrelationID, &u.Origin.CausationID, &cause.Commit, &cause.Prepare)
	})
	if err != nil {
		return nil, fmt.Errorf("look what has timed out in %s: %w", x.Table.Name, err)
	}
	return due, nil
}
