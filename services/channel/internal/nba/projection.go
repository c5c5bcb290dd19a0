// Package nba keeps the next best actions that marketing decides, and waits for
// them while the visitor does.
//
//	a call appends an event ──▶ … ──▶ marketing decides ──▶ next-best-actions ──▶ nba
//	   └── Await the row of this contact and this call's correlation id ◀───────────┘
//
// Every event that comes of a call carries the call's correlation id, so the
// decision that it led to is told from any other.
package nba

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the decisions come over.
const Flow = "next-best-actions"

// Schema is the tables of the lists. decided_at and rested_on hold times of the
// clock, and traceparent the trace of the decision; everything else is the same
// whenever the events are taken in.
var Schema = projection.Schema{Name: "nba", Version: 2, Tables: []string{
	`CREATE TABLE nba (
		contact_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
		actions TEXT NOT NULL, decided_at BIGINT NOT NULL, rested_on TEXT NOT NULL,
		traceparent TEXT NOT NULL,
		PRIMARY KEY (contact_id, correlation_id))`,
	`CREATE TABLE nba_contact (contact_id TEXT PRIMARY KEY, correlation_id TEXT NOT NULL)`,
	`CREATE TABLE nba_customer (customer_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, correlation_id TEXT NOT NULL)`,
}}

// Project writes a decision: for its call, and as the last one of its contact
// and of its customer.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*marketingv1.NextBestActionsDecided)
	if !ok {
		return nil
	}
	if m.GetContactId() == "" {
		return flow.Unprocessable(errors.New("the decision names no contact"))
	}
	actions, err := codec.Canonical(&channelv1.Actions{DecisionId: m.GetDecisionId(), Actions: m.GetActions()})
	if err != nil {
		return flow.Unprocessable(fmt.Errorf("write a list: %w", err))
	}
	restedOn, err := codec.Canonical(&channelv1.Actions{RestedOn: m.GetRestedOn()})
	if err != nil {
		return flow.Unprocessable(fmt.Errorf("write what a list rested on: %w", err))
	}
	correlation := e.Metadata.CorrelationID
	if err := tx.Write(ctx, `INSERT INTO nba (contact_id, correlation_id, actions, decided_at, rested_on, traceparent) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (contact_id, correlation_id) DO UPDATE SET
			actions = excluded.actions, decided_at = excluded.decided_at, rested_on = excluded.rested_on, traceparent = excluded.traceparent`,
		m.GetContactId(), correlation, string(actions), e.Metadata.Time.UnixNano(), string(restedOn), e.Metadata.TraceParent); err != nil {
		return fmt.Errorf("write a list: %w", err)
	}
	return projectLast(ctx, tx, m, correlation)
}

func projectLast(ctx context.Context, tx *projection.Tx, m *marketingv1.NextBestActionsDecided, correlation string) error {
	if err := tx.Write(ctx, `INSERT INTO nba_contact (contact_id, correlation_id) VALUES (?, ?)
		ON CONFLICT (contact_id) DO UPDATE SET correlation_id = excluded.correlation_id`,
		m.GetContactId(), correlation); err != nil {
		return fmt.Errorf("write the last list of a contact: %w", err)
	}
	if m.GetCustomerId() == "" {
		return nil
	}
	if err := tx.Write(ctx, `INSERT INTO nba_customer (customer_id, contact_id, correlation_id) VALUES (?, ?, ?)
		ON CONFLICT (customer_id) DO UPDATE SET contact_id = excluded.contact_id, correlation_id = excluded.correlation_id`,
		m.GetCustomerId(), m.GetContactId(), correlation); err != nil {
		return fmt.Errorf("write the last list of a customer: %w", err)
	}
	return nil
}

const selectList = `SELECT nba.actions, nba.decided_at, nba.rested_on FROM nba `

// find returns the list that a query finds; nil when it finds none.
func find(ctx context.Context, q projection.Querier, source channelv1.ListSource, where string, args ...any) (*channelv1.Actions, error) {
	var body, restedOn string
	var decidedAt int64
	err := q.QueryRow(ctx, selectList+where, args...).Scan(&body, &decidedAt, &restedOn)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look a list up: %w", err)
	}
	list, rested := &channelv1.Actions{}, &channelv1.Actions{}
	if err := errors.Join(codec.ReadCanonical([]byte(body), list), codec.ReadCanonical([]byte(restedOn), rested)); err != nil {
		return nil, fmt.Errorf("read a list: %w", err)
	}
	list.Source, list.RestedOn = source, rested.GetRestedOn()
	list.DecidedAt = timestamppb.New(time.Unix(0, decidedAt))
	return list, nil
}
