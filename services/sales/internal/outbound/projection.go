package outbound

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the events that Project takes in.
var Types = []string{"sales.OutboundPlanned"}

// Tables hold each channel's plan, as canonical JSON.
var Tables = []string{`CREATE TABLE outbound_plan (channel BIGINT PRIMARY KEY, plan TEXT NOT NULL)`}

// Project keeps the tables.
func Project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	planned, ok := event.Message.(*salesv1.OutboundPlanned)
	if !ok {
		return nil
	}
	plan, err := codec.Canonical(planned)
	if err != nil {
		return fmt.Errorf("outbound: %w", err)
	}
	err = tx.Write(ctx, `INSERT INTO outbound_plan (channel, plan) VALUES (?, ?) ON CONFLICT (channel) DO UPDATE SET plan = excluded.plan`,
		int32(planned.GetChannel()), string(plan))
	if err != nil {
		return fmt.Errorf("outbound: %w", err)
	}
	return nil
}

// Plans are the channels' plans.
type Plans map[journeyv1.Channel]Plan

// Load reads the channels' plans.
func Load(ctx context.Context, q projection.Querier) (Plans, error) {
	rows, err := q.Query(ctx, `SELECT plan FROM outbound_plan`)
	if err != nil {
		return nil, fmt.Errorf("look for the plans of channels: %w", err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, plan *Plan) error {
		var text string
		if err := row.Scan(&text); err != nil {
			return err
		}
		*plan = &salesv1.OutboundPlanned{}
		return protojson.Unmarshal([]byte(text), *plan)
	})
	if err != nil {
		return nil, fmt.Errorf("look for the plans of channels: %w", err)
	}
	plans := Plans{}
	for _, plan := range all {
		plans[plan.GetChannel()] = plan
	}
	return plans, nil
}
