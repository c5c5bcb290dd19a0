package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// namespace is what the ids of control events derive from.
var namespace = uuid.MustParse("5e3b7a0e-6a52-4f1c-9c63-3f0d2f5f4a11")

// epochStream holds the windows and the parked events of one epoch.
func epochStream(flow string, epoch uint64) string {
	return fmt.Sprintf("%s:%d", flows.ControlStream(flow), epoch)
}

// controlEvent encodes a control event of a flow, with an id that derives from
// the flow and from what it tells.
func controlEvent(ctx context.Context, c *codec.Codec, f flows.Flow, what string, m proto.Message) (eventlog.NewEvent, error) {
	id := uuid.NewSHA1(namespace, []byte(f.Name+"|"+what))
	e, err := c.Encode(ctx, m, id, codec.Metadata{Source: codec.Source(f.To), Subject: f.Name, Time: time.Now().UTC()})
	if err != nil {
		return eventlog.NewEvent{}, fmt.Errorf("encode a control event: %w", err)
	}
	return e, nil
}

// postOutbox remembers a control event, in the transaction that it tells of.
func postOutbox(ctx context.Context, tx *projection.Tx, stream string, e eventlog.NewEvent) error {
	_, err := tx.Exec(ctx, `INSERT INTO flow_outbox (id, seq, stream, type, data, metadata)
		SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ? FROM flow_outbox WHERE true
		ON CONFLICT (id) DO NOTHING`, e.ID.String(), stream, e.Type, e.Data, e.Metadata)
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	return nil
}

type posted struct {
	stream string
	event  eventlog.NewEvent
}

// emptyOutbox appends what the outbox holds, in order. An event that is in its
// stream already, as the process ended before it could be taken off, is not
// appended again.
func emptyOutbox(ctx context.Context, db *projection.DB, streams *decider.Streams) error {
	for {
		p, err := firstPosted(ctx, db)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		if err := decider.Ensure(ctx, streams, p.stream, p.event); err != nil {
			return fmt.Errorf("append %s to %s: %w", p.event.Type, p.stream, err)
		}
		err = db.Update(ctx, func(tx *projection.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM flow_outbox WHERE id = ?`, p.event.ID.String())
			return err
		})
		if err != nil {
			return fmt.Errorf("take an event off the outbox: %w", err)
		}
	}
}

func firstPosted(ctx context.Context, db *projection.DB) (p posted, err error) {
	var id string
	err = db.QueryRow(ctx, `SELECT id, stream, type, data, metadata FROM flow_outbox ORDER BY seq LIMIT 1`).Scan(
		&id, &p.stream, &p.event.Type, &p.event.Data, &p.event.Metadata)
	if err != nil {
		return p, err
	}
	p.event.ID, err = uuid.Parse(id)
	return p, err
}
