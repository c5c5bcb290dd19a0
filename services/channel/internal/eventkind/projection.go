package eventkind

import (
	"context"
	"fmt"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// OwnFlow is the channel's own events about kinds, back to itself.
var OwnFlow = ownFlow()

func ownFlow() flows.Flow {
	f := flow.Own(flows.Channel, []string{"channel.EventKindRegistered"}, []string{"kind"})
	f.Name += "-event-kinds"
	return f
}

// Schema is the table of the kinds that were registered.
var Schema = projection.Schema{Name: "event_kind", Version: 1, Tables: []string{
	`CREATE TABLE event_kind (kind TEXT PRIMARY KEY, version BIGINT NOT NULL, body TEXT NOT NULL)`,
}}

// Project writes an event into the table.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*channelv1.EventKindRegistered)
	if !ok {
		return nil
	}
	err := tx.Write(ctx, `INSERT INTO event_kind (kind, version, body) VALUES (?, ?, ?)
		ON CONFLICT (kind) DO UPDATE SET version = excluded.version, body = excluded.body`, m.GetKind(), m.GetVersion(), m.GetSchema())
	if err != nil {
		return fmt.Errorf("write an event kind: %w", err)
	}
	return nil
}
