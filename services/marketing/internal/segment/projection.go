package segment

import (
	"context"
	"fmt"
	"time"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// Types are the event types that Project takes.
var Types = []string{"marketing.SegmentDefined"}

// Tables are the tables that Project writes, as part of the service's own flow. Who
// belongs to a segment stands in none: it is asked when somebody wants to know.
var Tables = []string{
	`CREATE TABLE own_segment (segment_id TEXT PRIMARY KEY, name TEXT NOT NULL, rule TEXT NOT NULL)`,
}

// Project keeps each segment as it was defined last.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*marketingv1.SegmentDefined)
	if !ok {
		return nil
	}
	err := tx.Write(ctx, `INSERT INTO own_segment (segment_id, name, rule) VALUES (?, ?, ?)
		ON CONFLICT (segment_id) DO UPDATE SET name = excluded.name, rule = excluded.rule`, m.GetSegmentId(), m.GetName(), m.GetRule())
	if err != nil {
		return fmt.Errorf("write segment %s: %w", m.GetSegmentId(), err)
	}
	return nil
}

// All returns every segment, by its id.
func All(ctx context.Context, q projection.Querier) ([]*marketingv1.SegmentDefined, error) {
	rows, err := q.Query(ctx, `SELECT segment_id, name, rule FROM own_segment ORDER BY segment_id`)
	if err != nil {
		return nil, fmt.Errorf("read the segments: %w", err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, s **marketingv1.SegmentDefined) error {
		*s = &marketingv1.SegmentDefined{}
		return row.Scan(&(*s).SegmentId, &(*s).Name, &(*s).Rule)
	})
	if err != nil {
		return nil, fmt.Errorf("read the segments: %w", err)
	}
	return all, nil
}

// Of returns the segments that a customer belongs to at a time, by their id.
func Of(ctx context.Context, q projection.Querier, customer string, at time.Time) ([]string, error) {
	segments, err := All(ctx, q)
	if err != nil || len(segments) == 0 {
		return nil, err
	}
	propositions, err := proposition.All(ctx, q)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range segments {
		rule, err := Parse(s.GetRule())
		if err != nil {
			return nil, fmt.Errorf("read the rule of segment %s: %w", s.GetSegmentId(), err)
		}
		compiled, err := rule.compile(propositions, at)
		if err != nil {
			return nil, fmt.Errorf("read the rule of segment %s: %w", s.GetSegmentId(), err)
		}
		belongs, err := compiled.hits(ctx, q, customer)
		if err != nil {
			return nil, err
		}
		if belongs {
			ids = append(ids, s.GetSegmentId())
		}
	}
	return ids, nil
}
