// Package idle finds what nobody has touched for its time-out: a contact that a
// visitor has left, a call that its agent does not end. What comes of it is decided
// by the capability whose it is.
package idle

import (
	"context"
	"fmt"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Table is the table of what goes on, each with what touched it last. The projection
// that has it among its tables fills it.
type Table struct {
	Name string
	ID   string // the column of their ids
}

// Statements make the table.
func (t Table) Statements() []string {
	return []string{
		`CREATE TABLE ` + t.Name + ` (
		` + t.ID + ` TEXT PRIMARY KEY, channel BIGINT NOT NULL, touches BIGINT NOT NULL, touched_at BIGINT NOT NULL,
		correlation_id TEXT NOT NULL, event_id TEXT NOT NULL, commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL)`,
		`CREATE INDEX ` + t.Name + `_touched ON ` + t.Name + ` (channel, touched_at)`,
	}
}

// Begin notes that something goes on in a channel.
func (t Table) Begin(ctx context.Context, tx *projection.Tx, id string, channel journeyv1.Channel) error {
	err := tx.Write(ctx, `INSERT INTO `+t.Name+`
			(`+t.ID+`, channel, touches, touched_at, correlation_id, event_id, commit_position, prepare_position)
			VALUES (?, ?, 0, 0, '', '', 0, 0) ON CONFLICT DO NOTHING`, id, int32(channel))
	return t.told(err)
}

// Move notes that it goes on in another channel, and has its time-out from then on.
// In none it has no time-out.
func (t Table) Move(ctx context.Context, tx *projection.Tx, id string, to journeyv1.Channel) error {
	return t.told(tx.Write(ctx, `UPDATE `+t.Name+` SET channel = ? WHERE `+t.ID+` = ?`, int32(to), id))
}

// End notes that it goes on no more.
func (t Table) End(ctx context.Context, tx *projection.Tx, id string) error {
	return t.told(tx.Write(ctx, `DELETE FROM `+t.Name+` WHERE `+t.ID+` = ?`, id))
}

// Touch notes what touched it, at the later one of two times: that of the call, and
// that of the store. A clock that is behind must not make anything look old, and one
// that is ahead only has it last longer.
func (t Table) Touch(ctx context.Context, tx *projection.Tx, id string, e codec.Event) error {
	at := max(e.Metadata.Time.UnixNano(), e.Created.UnixNano())
	return t.told(tx.Write(ctx, `UPDATE `+t.Name+` SET touches = touches + 1,
			touched_at = CASE WHEN touched_at < ? THEN ? ELSE touched_at END,
			correlation_id = ?, event_id = ?, commit_position = ?, prepare_position = ?
		WHERE `+t.ID+` = ?`,
		at, at, e.Metadata.CorrelationID, e.ID.String(), e.Position.Commit, e.Position.Prepare, id))
}

func (t Table) told(err error) error {
	if err != nil {
		return fmt.Errorf("write what goes on in %s: %w", t.Name, err)
	}
	return nil
}
