package arbitration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the event types that Project takes.
var Types = []string{"marketing.ArbitrationConfigured"}

// Tables are the tables that Project writes, as part of the service's own flow.
var Tables = []string{
	`CREATE TABLE own_arbitration (only_row BIGINT PRIMARY KEY, body BLOB NOT NULL)`,
}

// Project keeps how lists are made.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*marketingv1.ArbitrationConfigured)
	if !ok {
		return nil
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.GetArbitration())
	if err != nil {
		return fmt.Errorf("encode the arbitration: %w", err)
	}
	err = tx.Write(ctx, `INSERT INTO own_arbitration (only_row, body) VALUES (1, ?)
		ON CONFLICT (only_row) DO UPDATE SET body = excluded.body`, body)
	if err != nil {
		return fmt.Errorf("write the arbitration: %w", err)
	}
	return nil
}

// Now returns how lists are made.
func Now(ctx context.Context, q projection.Querier) (*marketingv1.Arbitration, error) {
	var body []byte
	err := q.QueryRow(ctx, `SELECT body FROM own_arbitration`).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return Default(), nil
	}
	now := &marketingv1.Arbitration{}
	if err == nil {
		err = proto.Unmarshal(body, now)
	}
	if err != nil {
		return nil, fmt.Errorf("read the arbitration: %w", err)
	}
	return now, nil
}
