package proposition

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the event types that Project takes.
var Types = []string{"marketing.PropositionDefined"}

// Tables are the tables that Project writes, as part of the service's own flow.
var Tables = []string{
	`CREATE TABLE own_proposition (proposition_id TEXT PRIMARY KEY, body BLOB NOT NULL)`,
}

// Project keeps each proposition as it was defined last.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	defined, ok := e.Message.(*marketingv1.PropositionDefined)
	if !ok {
		return nil
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(defined)
	if err != nil {
		return fmt.Errorf("encode a proposition: %w", err)
	}
	err = tx.Write(ctx, `INSERT INTO own_proposition (proposition_id, body) VALUES (?, ?)
		ON CONFLICT (proposition_id) DO UPDATE SET body = excluded.body`, defined.GetPropositionId(), body)
	if err != nil {
		return fmt.Errorf("write proposition %s: %w", defined.GetPropositionId(), err)
	}
	return nil
}

// All returns every proposition, by its id.
func All(ctx context.Context, q projection.Querier) ([]*marketingv1.PropositionDefined, error) {
	rows, err := q.Query(ctx, `SELECT body FROM own_proposition ORDER BY proposition_id`)
	if err != nil {
		return nil, fmt.Errorf("read the propositions: %w", err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, p **marketingv1.PropositionDefined) error {
		var body []byte
		if err := row.Scan(&body); err != nil {
			return err
		}
		*p = &marketingv1.PropositionDefined{}
		return proto.Unmarshal(body, *p)
	})
	if err != nil {
		return nil, fmt.Errorf("read the propositions: %w", err)
	}
	return all, nil
}
