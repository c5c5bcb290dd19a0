package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// namespace is what the ids of control events derive from.
var namespace = uuid.MustParse("5e3b7a0e-6a52-4f1c-9c63-3f0d2f5f4a11")

// epochStream holds the windows and the parked events of one epoch.
func epochStream(flow string, epoch uint64) string {
	return fmt.Sprintf("%s:%d", flows.ControlStream(flow), epoch)
}

// control is a control event that is to be told once: its id derives from the
// flow and from what it tells.
type control struct {
	id      uuid.UUID
	stream  string
	message proto.Message
	origin  decider.Origin
}

func newControl(f flows.Flow, stream, what string, message proto.Message, now time.Time) control {
	id := uuid.NewSHA1(namespace, []byte(f.Name+"|"+what))
	return control{id: id, stream: stream, message: message, origin: controlOrigin(id, f.To, now)}
}

func controlOrigin(id uuid.UUID, service flows.Service, now time.Time) decider.Origin {
	return decider.Origin{Key: "control:" + id.String(), Service: service, Time: now}
}

// ensure appends the event, unless it is there.
func (c control) ensure(ctx context.Context, streams *decider.Streams) (decider.Ensured, error) {
	return decider.Ensure(ctx, streams, c.origin, c.stream, c.id, c.message)
}

// postOutbox remembers a control event, in the transaction that it tells of.
func postOutbox(ctx context.Context, tx *projection.Tx, c control) error {
	message, err := anypb.New(c.message)
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	raw, err := proto.Marshal(message)
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	err = tx.Write(ctx, `INSERT INTO flow_outbox (id, seq, stream, message, service, decided_at)
		SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ? FROM flow_outbox WHERE true
		ON CONFLICT (id) DO NOTHING`, c.id.String(), c.stream, raw, string(c.origin.Service), c.origin.Time.UnixNano())
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	return nil
}

// emptyOutbox appends what the outbox holds, in order. An event that is in its
// stream already, as the process ended before it could be taken off, is not
// appended again.
func emptyOutbox(ctx context.Context, db *projection.DB, streams *decider.Streams, traces *postedTraces) error {
	for {
		c, err := firstPosted(ctx, db)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		if _, err := c.ensure(traces.in(ctx, c.id), streams); err != nil {
			return err
		}
		err = db.Update(ctx, func(tx *projection.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM flow_outbox WHERE id = ?`, c.id.String())
			return err
		})
		if err != nil {
			return fmt.Errorf("take an event off the outbox: %w", err)
		}
	}
}

func firstPosted(ctx context.Context, db *projection.DB) (c control, err error) {
	var id, service string
	var raw []byte
	var decided int64
	err = db.QueryRow(ctx, `SELECT id, stream, message, service, decided_at FROM flow_outbox ORDER BY seq LIMIT 1`).Scan(
		&id, &c.stream, &raw, &service, &decided)
	if err != nil {
		return c, err
	}
	if c.id, err = uuid.Parse(id); err != nil {
		return c, err
	}
	var message anypb.Any
	if err := proto.Unmarshal(raw, &message); err != nil {
		return c, err
	}
	c.message, err = message.UnmarshalNew()
	c.origin = controlOrigin(c.id, flows.Service(service), time.Unix(0, decided).UTC())
	return c, err
}
