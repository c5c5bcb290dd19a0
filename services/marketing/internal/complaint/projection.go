// Package complaint keeps where customers' requests stand, so that nobody is
// sold to while they complain. It is as old as the flow request-status.
package complaint

import (
	"context"
	"fmt"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Flow is the flow that the tables follow.
const Flow = "request-status"

// Schema is the tables of the flow.
var Schema = projection.Schema{Name: "complaint", Version: 1, Tables: []string{
	`CREATE TABLE complaint_request (
		request_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, kind BIGINT NOT NULL, status BIGINT NOT NULL)`,
	`CREATE INDEX complaint_request_customer ON complaint_request (customer_id)`,
}}

// Project keeps the last status of each request.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	m, ok := e.Message.(*salesv1.RequestStatusChanged)
	if !ok {
		return nil
	}
	err := tx.Write(ctx, `INSERT INTO complaint_request (request_id, customer_id, kind, status) VALUES (?, ?, ?, ?)
		ON CONFLICT (request_id) DO UPDATE SET
			customer_id = excluded.customer_id, kind = excluded.kind, status = excluded.status`,
		m.GetRequestId(), m.GetCustomerId(), int32(m.GetKind()), int32(m.GetStatus()))
	if err != nil {
		return fmt.Errorf("write request %s: %w", m.GetRequestId(), err)
	}
	return nil
}

// IsOpen is the condition, on a row of complaint_request, that it is an open
// complaint. Its parameters are those of IsOpenArgs.
const IsOpen = `kind = ? AND status <> ?`

// IsOpenArgs are the parameters of IsOpen.
func IsOpenArgs() []any {
	return []any{
		int32(journeyv1.RequestKind_REQUEST_KIND_COMPLAINT), int32(journeyv1.RequestStatus_REQUEST_STATUS_DONE),
	}
}

// Open counts the complaints of a customer that are not done.
func Open(ctx context.Context, q projection.Querier, customer string) (uint32, error) {
	var n uint32
	err := q.QueryRow(ctx, `SELECT count(*) FROM complaint_request WHERE customer_id = ? AND `+IsOpen,
		append([]any{customer}, IsOpenArgs()...)...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the open complaints of a customer: %w", err)
	}
	return n, nil
}
