package contact

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// IdleFlow is the channel's own events in contacts, back to itself: what keeps a
// contact alive, and its end.
var IdleFlow = idleFlow()

func idleFlow() flows.Flow {
	f := flow.Own(flows.Channel, []string{
		"channel.ContactStarted", "channel.ContactHandedOver", "channel.ContactEnded",
		"channel.IdentityClaimed", "channel.PropositionPresented", "channel.PropositionAnswered", "channel.InterestShown",
		"channel.BannerClicked", "channel.CommercialEventRecorded", "channel.LeadResponseReceived",
		"channel.RequestSubmitted", "channel.VariantShown",
	}, []string{"contact_id"})
	f.Name += "-contacts"
	return f
}

// IdleSchema is the table of the contacts that go on, each with what touched it
// last.
var IdleSchema = projection.Schema{Name: "contact_open", Version: 1, Tables: []string{
	`CREATE TABLE contact_open (
		contact_id TEXT PRIMARY KEY, channel BIGINT NOT NULL, touches BIGINT NOT NULL, touched_at BIGINT NOT NULL,
		correlation_id TEXT NOT NULL, event_id TEXT NOT NULL, commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL)`,
	`CREATE INDEX contact_open_touched ON contact_open (channel, touched_at)`,
}}

// ProjectIdle writes an event of a contact into the table.
func ProjectIdle(ctx context.Context, tx *projection.Tx, e codec.Event) (err error) {
	switch m := e.Message.(type) {
	case *channelv1.ContactStarted:
		err = tx.Write(ctx, `INSERT INTO contact_open
			(contact_id, channel, touches, touched_at, correlation_id, event_id, commit_position, prepare_position)
			VALUES (?, ?, 0, 0, '', '', 0, 0) ON CONFLICT DO NOTHING`, m.GetContactId(), int32(m.GetChannel()))
	case *channelv1.ContactHandedOver:
		err = tx.Write(ctx, `UPDATE contact_open SET channel = ? WHERE contact_id = ?`, int32(m.GetTo()), m.GetContactId())
	case *channelv1.ContactEnded:
		err = tx.Write(ctx, `DELETE FROM contact_open WHERE contact_id = ?`, m.GetContactId())
	}
	if m, ok := e.Message.(interface{ GetContactId() string }); ok && err == nil && isTouch(e.Message) {
		err = touch(ctx, tx, m.GetContactId(), e)
	}
	if err != nil {
		return fmt.Errorf("write what goes on in contacts: %w", err)
	}
	return nil
}

// touch notes what touched a contact, at the later one of two times: that of the
// call, and that of the store. A clock that is behind must not make a contact look
// old, and one that is ahead only has it last longer.
func touch(ctx context.Context, tx *projection.Tx, contactID string, e codec.Event) error {
	at := max(e.Metadata.Time.UnixNano(), e.Created.UnixNano())
	return tx.Write(ctx, `UPDATE contact_open SET touches = touches + 1,
			touched_at = CASE WHEN touched_at < ? THEN ? ELSE touched_at END,
			correlation_id = ?, event_id = ?, commit_position = ?, prepare_position = ?
		WHERE contact_id = ?`,
		at, at, e.Metadata.CorrelationID, e.ID.String(), e.Position.Commit, e.Position.Prepare, contactID)
}

// Expirer ends contacts that nobody touches for their channel's time-out. Its Round
// is a worker's.
//
// A contact ends when its deadline has passed by the times that were recorded, if
// nothing has touched it since: that is decided in its stream, where a step that
// nobody here has heard of yet counts. And the clock must have gone on steadily for
// as long as the time-out, though an hour is enough: see clock. So a clock that
// jumps, or that was wrong when the process began, ends no contact in which
// something happens; where the time-out is longer, an hour is left to set it right.
type Expirer struct {
	Streams  *decider.Streams
	DB       *projection.DB
	TimeOuts TimeOuts
	// Now is the time of day. Count counts, and is never set.
	Now   func() time.Time
	Count func() time.Duration

	clock clock
	next  time.Duration // the count at which there is something to look for
}

// steadyEnough is for how long the clock must have gone on, at most.
const steadyEnough = time.Hour

// untouched is a contact that nobody has touched for its time-out.
type untouched struct {
	contactID string
	touches   uint64
	touchedAt int64
	origin    decider.Origin
}

// Round ends the contacts whose time is up, and is due again when that of the next
// ones is. In between it looks at the clock only: what begins, or is touched, has
// its time.
func (x *Expirer) Round(ctx context.Context) (again time.Time, err error) {
	now, count := x.Now().UTC(), x.Count()
	steady := x.clock.steadyFor(now, count)
	if steady > 0 && count < x.next {
		return now.Add(x.next - count), nil
	}
	wait := x.TimeOuts.shortest() // a contact that begins now has that long at least
	for _, channel := range x.TimeOuts.channels() {
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

// expire ends the contacts of a channel whose time is up, and returns how long it is
// until that of the next one is.
func (x *Expirer) expire(ctx context.Context, channel journeyv1.Channel, timeOut time.Duration, now time.Time) (wait time.Duration, err error) {
	since := now.Add(-timeOut).UnixNano()
	due, err := x.untouchedSince(ctx, channel, since)
	if err != nil {
		return 0, err
	}
	for _, u := range due {
		at := time.Unix(0, u.touchedAt).UTC().Add(timeOut)
		if ending := x.end(ctx, u, at, now); ending != nil {
			err = errors.Join(err, fmt.Errorf("end contact %s, which timed out: %w", u.contactID, ending))
		}
	}
	if err != nil {
		return 0, err
	}
	var next int64
	if err := x.DB.QueryRow(ctx, `SELECT coalesce(min(touched_at), ?) FROM contact_open WHERE channel = ? AND touched_at > ?`,
		now.UnixNano(), int32(channel), since).Scan(&next); err != nil {
		return 0, fmt.Errorf("look when a contact times out next: %w", err)
	}
	return time.Duration(next - since), nil
}

func (x *Expirer) untouchedSince(ctx context.Context, channel journeyv1.Channel, since int64) ([]untouched, error) {
	rows, err := x.DB.Query(ctx, `SELECT contact_id, touches, touched_at, correlation_id, event_id, commit_position, prepare_position
		FROM contact_open WHERE channel = ? AND touched_at <= ? ORDER BY touched_at, contact_id`, int32(channel), since)
	if err != nil {
		return nil, fmt.Errorf("look which contacts have timed out: %w", err)
	}
	due, err := projection.Collect(rows, func(row projection.Scanner, u *untouched) error {
		cause := &u.origin.CausePosition
		return row.Scan(&u.contactID, &u.touches, &u.touchedAt, &u.origin.CorrelationID, &u.origin.CausationID, &cause.Commit, &cause.Prepare)
	})
	if err != nil {
		return nil, fmt.Errorf("look which contacts have timed out: %w", err)
	}
	return due, nil
}

// end ends a contact, unless it was touched, or ended, meanwhile.
func (x *Expirer) end(ctx context.Context, u untouched, at, now time.Time) error {
	origin := u.origin
	// Whoever finds first that a contact has timed out after so many touches ends it
	// for all who find it.
	origin.Key = "contact:" + u.contactID + ":untouched:" + strconv.FormatUint(u.touches, 10)
	origin.Service, origin.Time = flows.Channel, now
	_, err := decider.Handle(ctx, x.Streams, origin, Stream(u.contactID), Decider, TimeOut{Touches: u.touches, At: at}.Decide)
	return err
}
